/** Findings about what answers at a hub's address, the same for the sidecar's hubs and that of the command line. */
import { VERSION } from '../../version.ts';
import { finding, type Finding, type FindingMore } from './finding.ts';
import type { HubAnswer } from './ask-hub.ts';

export interface CheckedAddress {
  /** As the user wrote it. */
  readonly address: string;
  /** Where it is written: `sidecar.hubs in FILE`, `AGENTCOM_API_URL`. */
  readonly from: string;
  readonly more: FindingMore;
}

/** Null if a hub answers. */
export function noHubFinding(answer: HubAnswer, { address, from, more }: CheckedAddress): Finding | null {
  switch (answer.kind) {
    case 'hub':
      return null;
    case 'away':
    case 'silent':
      return finding('hub_away', `no hub answers at ${address}: ${answer.why}`, {
        ...more,
        hint: `Start the hub with \`agentcom hub\`, or correct ${from}. If it is on another machine, check the firewall and the proxy.`,
      });
    case 'scheme': {
      const [found, orElse] = answer.speaks === 'http' ? ['plain text, not TLS', ', or set hub.listen.tls'] : ['TLS, not plain text', ''];
      return finding('hub_tls', `${address} has the wrong scheme: what answers there speaks ${found}`, {
        ...more,
        hint: `Write "${withScheme(address, answer.speaks)}" in ${from}${orElse}.`,
      });
    }
    case 'certificate':
      return finding('hub_certificate', `the certificate of ${address} is not accepted: it ${answer.why}`, more);
    case 'name':
      return finding('hub_name', `the hub at ${address} does not know the name that it was asked for`, {
        ...more,
        hint:
          `Add "${new URL(address).hostname}" to hub.listen.names in the config of the hub and restart it, or correct ${from}. ` +
          'If a proxy sends the hub another name in the header Host, add that one, or let it pass on the original.',
      });
    case 'other':
      return finding('hub_other', `what answers at ${address} is not an AgentCom hub: it ${answer.what}`, {
        ...more,
        hint: `Correct the address in ${from}, or stop that program and start the hub with \`agentcom hub\`.`,
      });
  }
}

/** `ws:` becomes `wss:`, and `http:` `https:`, or the other way round. */
function withScheme(address: string, speaks: 'http' | 'https'): string {
  const stem = address.startsWith('ws') ? 'ws' : 'http';
  return address.replace(/^\w+:/, `${stem}${speaks === 'https' ? 's' : ''}:`);
}

/** Null if its database can commit. */
export function degradedFinding(
  { isDegraded }: Pick<Extract<HubAnswer, { kind: 'hub' }>, 'isDegraded'>,
  place: string,
  more: FindingMore = {},
): Finding | null {
  return isDegraded ? finding('hub_degraded', `the hub at ${place} is running, but its database cannot commit`, more) : null;
}

/** Null if the versions are the same. */
export function versionFinding(version: string, place: string, more: FindingMore = {}): Finding | null {
  if (version === VERSION) return null;
  const hint = isOlder(version, VERSION)
    ? 'Update the hub first, then its sidecars: a sidecar may need what an older hub cannot do. Restart what was updated.'
    : 'Update agentcom on this machine to the version of the hub, and restart the sidecar.';
  return finding('hub_version', `the hub at ${place} runs version ${version}, this is ${VERSION}`, { hint, ...more });
}

const isOlder = (one: string, other: string): boolean => one.localeCompare(other, 'en', { numeric: true }) < 0;
