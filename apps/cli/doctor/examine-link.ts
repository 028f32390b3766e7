/** Whether a sidecar could work with its hubs: does a hub answer, does it accept the token, do clocks and versions agree? */
import { join } from 'node:path';
import { readRegularFile, unlessMissing } from '../../../adapters/kit/platform-files.ts';
import type { HubTrust } from '../../../adapters/kit/trusted-hub.ts';
import { isLoopback } from '../../../core/config/loopback.ts';
import type { ResolvedConfig, ResolvedHubConfig, ResolvedSidecarConfig } from '../../../core/config/config.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { hubClient, type HubClient } from '../../client/index.ts';
import { readJoinCode } from '../../../core/config/fingerprint.ts';
import type { DeviceKey } from '../../../core/ports/trust/device-key.ts';
import { DEVICE_KEY_FILE, existingDeviceKey } from '../../signing/device-key-file.ts';
import { readSecretFile } from '../../data-dir.ts';
import { sidecarTrust } from '../../tls/hub-trust.ts';
import { hubKnowsSecret } from '../../enrol.ts';
import { apiUrlOf, howToGetAToken, knownToken, tokenFile, type KnownToken } from '../../sidecar/enrolment.ts';
import { INSTANCE_ID } from '../../../adapters/journal-file/file-journal.ts';
import { askHub } from './ask-hub.ts';
import { liveTokensOf } from '../live-tokens.ts';
import { finding, findingOf, type Finding } from './finding.ts';
import { degradedFinding, noHubFinding, versionFinding } from './hub-findings.ts';
import { proveHub } from './prove-hub.ts';

export interface LinkToExamine {
  readonly config: ResolvedConfig;
  readonly sidecar: ResolvedSidecarConfig;
  /** The config file. */
  readonly file: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether the hub of the same config was found to be unable to listen: what answers there instead is already a finding. */
  readonly isPortTaken: boolean;
}

/** Time limit for the proof of a hub, milliseconds. */
const PROVED_WITHIN_MS = 5_000;
const MINUTE_MS = 60_000;

/** `trust`: how the hubs are recognized over TLS. */
type TrustingLink = LinkToExamine & { readonly trust: HubTrust };

/** What was found at the address of one hub, and whether a hub answers there. */
interface AskedHub {
  readonly isHub: boolean;
  readonly findings: readonly Finding[];
}

/** `isAnswered`: a hub answered, so that hub, token and clock were checked. */
interface ExaminedLink {
  readonly findings: readonly Finding[];
  readonly isAnswered: boolean;
}

/** Asks all hubs at once; the first in the list that answers decides. */
export async function examineLink(link: LinkToExamine): Promise<ExaminedLink> {
  const { hub } = link.config;
  const hubs = link.sidecar.hubs.filter((url) => !(link.isPortTaken && isOwnHub(url, hub)));
  if (hubs.length === 0) return { findings: [], isAnswered: false };
  const token = await readToken(link);
  let trust: HubTrust;
  try {
    const code = token.kind === 'none' ? readJoinCode(link.env['AGENTCOM_ENROL_SECRET'] ?? '') : null;
    trust = await sidecarTrust(link.sidecar, link.env, { code, hub: hub ?? null });
  } catch (thrown) {
    return { findings: [findingOf('hub_certificate', thrown, { agentId: link.sidecar.agentId })], isAnswered: false };
  }
  const answers = await Promise.all(hubs.map((url) => askOne(url, token, { ...link, trust })));
  const unreadable = token.kind === 'unreadable' ? [token.finding] : [];
  const answer = answers.find(({ isHub }) => isHub);
  if (answer !== undefined) return { findings: [...unreadable, ...answer.findings], isAnswered: true };
  const found = answers.flatMap(({ findings }, place) => {
    return findings.filter(({ check }) => check !== 'hub_away' || !mayBeStopped(hub, hubs[place] ?? ''));
  });
  return { findings: [...unreadable, ...joined(found)], isAnswered: false };
}

/** Whether this is the address of the hub in the same config. */
const isOwnHub = (url: string, hub: ResolvedConfig['hub']): boolean =>
  hub !== undefined && isLoopback(hostOf(url)) && portOf(url) === hub.port;

/** The hub in this config may be stopped while the doctor runs; a hub at another address counts as missing. */
function mayBeStopped(hub: ResolvedConfig['hub'], url: string): boolean {
  if (hub === undefined) return false;
  const host = hostOf(url);
  if (hub.port === 0 || hub.names.includes(host)) return true;
  return portOf(url) === hub.port && (isLoopback(host) || host === hub.host);
}

type Token =
  | { readonly kind: 'known'; readonly token: KnownToken }
  /** The sidecar has to enroll. */
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable'; readonly finding: Finding };

async function readToken({ sidecar, env }: LinkToExamine): Promise<Token> {
  try {
    const token = await knownToken(sidecar, env);
    return token === null ? { kind: 'none' } : { kind: 'known', token };
  } catch (thrown) {
    return { kind: 'unreadable', finding: findingOf('secret_file', thrown, { agentId: sidecar.agentId }) };
  }
}

const hostOf = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, '');
const portOf = (url: string): number => Number(new URL(url).port || (url.startsWith('wss:') ? 443 : 80));

/** Merges the findings of several hubs that are away: they have the same hint. */
function joined(findings: readonly Finding[]): readonly Finding[] {
  const [first, ...others] = findings.filter(({ check }) => check === 'hub_away');
  if (first === undefined || others.length === 0) return findings;
  const away = { ...first, what: [first, ...others].map(({ what }) => what).join('; ') };
  return [away, ...findings.filter(({ check }) => check !== 'hub_away')];
}

async function askOne(hub: string, token: Token, link: TrustingLink): Promise<AskedHub> {
  const { sidecar, file, config } = link;
  const { agentId } = sidecar;
  const url = apiUrlOf(hub);
  const answer = await askHub(url, link.trust);
  const missing = noHubFinding(answer, { address: hub, from: `sidecar.hubs of ${file}`, more: { agentId } });
  if (answer.kind !== 'hub' || missing !== null) return { isHub: false, findings: missing === null ? [] : [missing] };
  // What concerns a hub in the same config is reported with that hub.
  const degraded = config.hub === undefined ? degradedFinding(answer, hub, { agentId }) : null;
  const ofHub = degraded === null ? [] : [degraded];
  try {
    const ofToken = await tokenFindings(hub, url, token, link);
    // If this may be another hub, its clock proves nothing.
    const isOurs = ofToken.every(({ check }) => check !== 'token' && check !== 'hub_proof');
    const found = isOurs ? [...ofToken, ...clockFindings(answer.behindMs, sidecar)] : ofToken;
    const version = config.hub === undefined ? versionFinding(answer.version, url, { agentId }) : null;
    return { isHub: true, findings: [...found, ...ofHub, ...(version === null ? [] : [version])] };
  } catch (thrown) {
    if (answer.isDegraded) return { isHub: true, findings: ofHub };
    return { isHub: false, findings: [findingOf('hub_away', new Error(`no hub answers at ${hub}: ${messageOf(thrown)}`), { agentId })] };
  }
}

function clockFindings(behindMs: number | null, { timing, agentId }: ResolvedSidecarConfig): readonly Finding[] {
  if (behindMs === null || Math.abs(behindMs) <= timing.clockOffMaxMs) return [];
  const minutes = Math.round(Math.abs(behindMs) / MINUTE_MS);
  return [finding('clock', `this machine's clock is ${minutes} min ${behindMs > 0 ? 'behind' : 'ahead of'} the hub's`, { agentId })];
}

async function tokenFindings(hub: string, url: string, token: Token, link: TrustingLink): Promise<readonly Finding[]> {
  const { sidecar, trust } = link;
  const { agentId } = sidecar;
  if (token.kind === 'unreadable') return [];
  if (token.kind === 'none') return secretFindings(hub, url, link);
  const known = token.token;
  const [place, hint] = [placeOf(known, link), tokenHint(known, link)];
  const wrong = (what: string): readonly Finding[] => [finding('token', `${what}; it was taken from ${place}`, { agentId, hint })];
  if (sidecar.plainToken) return wrongByWhoami(hubClient({ url, tls: trust, token: known.token, retryWithinMs: 0 }), agentId, wrong);
  let deviceKey: DeviceKey | null;
  try {
    deviceKey = sidecar.deviceKey ? await existingDeviceKey(sidecar.dataDir) : null;
  } catch (thrown) {
    return [findingOf('device_key', thrown, { agentId })];
  }
  const proof = await proveHub(
    { url: hub, agentId, token: known.token, instanceId: await instanceIdIn(sidecar.dataDir), deviceKey, trust },
    PROVED_WITHIN_MS,
  );
  switch (proof.kind) {
    case 'proved':
      return [
        ...(proof.inUse === true ? [inUseFinding(url, agentId)] : []),
        ...(proof.isWrongDevice ? [wrongDeviceFinding(url, sidecar, deviceKey)] : []),
      ];
    case 'refused':
      return wrong(`the hub at ${url} no longer accepts the token of agent ${agentId}: it has expired`);
    case 'not_proved': {
      const why = 'another hub issued it, or it was revoked, or it belongs to another agent or a person';
      return wrong(`the hub at ${url} does not know the token of agent ${agentId}: ${why}`);
    }
    case 'older':
      return [
        finding('hub_proof', `the hub at ${url} cannot prove that it knows the token of agent ${agentId}: it is an older version`, {
          agentId,
        }),
      ];
  }
}

const inUseFinding = (url: string, agentId: string): Finding =>
  finding('agent_id_in_use', `another machine is connected to the hub at ${url} as agent ${agentId}`, {
    agentId,
    hint:
      `Stop the sidecar there, or give this one a sidecar.agentId, a token and a sidecar.dataDir of its own. ` +
      `If the agent has moved here for good: \`agentcom takeover ${agentId}\`.`,
  });

function wrongDeviceFinding(url: string, { agentId, dataDir, deviceKey: isOn }: ResolvedSidecarConfig, key: DeviceKey | null): Finding {
  const file = join(dataDir, DEVICE_KEY_FILE);
  const here = !isOn ? 'sidecar.deviceKey is not set here' : key === null ? `there is no ${file}` : `${file} is not it`;
  return finding('device_key', `the hub at ${url} has agent ${agentId} bound to a device key, and ${here}`, {
    agentId,
    hint:
      `Start the sidecar with sidecar.deviceKey: true where that key is, or restore its file. ` +
      `If it is lost, an operator has to run \`agentcom takeover ${agentId}\`.`,
  });
}

/** The config allows sending the token in plain text. */
async function wrongByWhoami(client: HubClient, agentId: string, wrong: (what: string) => readonly Finding[]): Promise<readonly Finding[]> {
  const whoami = await client.whoami().catch((thrown: unknown) => {
    if ((thrown as { readonly details?: { readonly status?: unknown } }).details?.status === 401) return null;
    throw thrown;
  });
  if (whoami === null)
    return wrong(`the hub at ${client.url} refuses the token of agent ${agentId}: another hub issued it, or it was revoked or has expired`);
  if (whoami.role === 'agent' && whoami.agent_id === agentId) return [];
  const whose = whoami.role === 'agent' ? `agent ${String(whoami.agent_id)}` : `a ${whoami.role}`;
  return wrong(`the token of agent ${agentId} belongs to ${whose}`);
}

/** A sidecar without a token enrolls at its next start, if it has a secret to enroll with. */
async function secretFindings(hub: string, url: string, link: TrustingLink): Promise<readonly Finding[]> {
  const { sidecar, config, env, trust } = link;
  const { agentId } = sidecar;
  const given = env['AGENTCOM_ENROL_SECRET'] ?? '';
  if (given === '') {
    if (config.hub !== undefined) return isOwnHub(hub, config.hub) ? lostTokenFindings(url, config.hub, link) : [];
    return [
      finding('no_token', `the sidecar of agent ${agentId} has no token and no secret to enroll with`, {
        agentId,
        hint: howToGetAToken(agentId),
      }),
    ];
  }
  const code = readJoinCode(given);
  if (code === null) return [finding('enrol_secret', 'AGENTCOM_ENROL_SECRET is incomplete or mistyped', { agentId })];
  if ((await hubKnowsSecret(url, { agentId, secret: code.secret, tls: trust })) !== 'not_proved') return [];
  const what = `the hub at ${url} does not know the enrollment secret in AGENTCOM_ENROL_SECRET: it is wrong, used or over 15 minutes old`;
  return [finding('enrol_secret', what, { agentId })];
}

/** A hub enrolls no agent that has a token. So a sidecar that has lost it cannot enroll, even on the machine of the hub. */
async function lostTokenFindings(url: string, hub: ResolvedHubConfig, { sidecar, trust }: TrustingLink): Promise<readonly Finding[]> {
  const { agentId } = sidecar;
  // What is wrong with this file is reported with the hub.
  const admin = hub.adminToken ?? (await readSecretFile(join(hub.dataDir, 'admin-token')).catch(() => null));
  if (admin === null || !(await hasToken(hubClient({ url, tls: trust, token: admin, retryWithinMs: 0 }), agentId))) return [];
  return [
    finding('no_token', `the hub at ${url} has a token for agent ${agentId}, and it is not in ${tokenFile(sidecar)}`, {
      agentId,
      hint: `If no other machine runs this agent: \`agentcom tokens revoke ${agentId}\`, and start the sidecar, which then enrolls again. Otherwise choose another sidecar.agentId.`,
    }),
  ];
}

/** False if the hub refuses to say, which is reported with the commands. */
async function hasToken(client: HubClient, agentId: string): Promise<boolean> {
  try {
    return (await liveTokensOf(client, agentId)).length > 0;
  } catch (thrown) {
    if (AgentcomError.is(thrown, 'AC_API')) return false;
    throw thrown;
  }
}

function placeOf({ token, from }: KnownToken, { sidecar, file, env }: LinkToExamine): string {
  if (from === 'file') return tokenFile(sidecar);
  if (from === 'variable') return 'AGENTCOM_TOKEN';
  return env['AGENTCOM_TOKEN'] === token ? `AGENTCOM_TOKEN, by sidecar.token of ${file}` : `sidecar.token of ${file}`;
}

function tokenHint({ token, from }: KnownToken, { sidecar, config, file, env }: LinkToExamine): string {
  const own = tokenFile(sidecar);
  if (from === 'file' && config.hub !== undefined)
    return `Remove ${own} and restart the sidecar: it then enrolls again. If the agent still has a token: \`agentcom tokens revoke ${sidecar.agentId}\` first.`;
  const isVariable = from === 'variable' || env['AGENTCOM_TOKEN'] === token;
  const place = isVariable ? 'set AGENTCOM_TOKEN to it' : from === 'config' ? `put it into sidecar.token of ${file}` : `write it to ${own}`;
  return `On the hub's machine run \`agentcom tokens create --agent ${sidecar.agentId}\`, ${place}, and restart the sidecar.`;
}

/** Null if no sidecar was started here yet. */
async function instanceIdIn(dataDir: string): Promise<string | null> {
  // Problems with it are reported with the journal.
  const text = await unlessMissing(async () => readRegularFile(join(dataDir, 'instance-id')).toString('utf8'), '').catch(() => '');
  return INSTANCE_ID.test(text.trim()) ? text.trim() : null;
}
