/** Rules that involve several options. */
import type { AgentcomConfig, ConfigProblem, HubConfig, SidecarConfig } from './config.ts';
import { describe, isRecord } from '../domain/describe-value.ts';
import { DEFAULT_HOST, withoutUndefined } from './defaults.ts';
import { HUB_LIMITS } from './limits.ts';
import { isLoopback, readSocketAddress } from './loopback.ts';
import { ASSIGN_OVERHEAD_BYTES, HUB_ADDRESS_WANTED } from './config-schema.ts';
import { HUB_TIMING, SIDECAR_TIMING, type BackoffTimes } from './times.ts';

const LISTEN_HINT =
  'Set hub.listen.tls, or listen on 127.0.0.1 behind a TLS proxy (Caddy, nginx), or, on a network that you trust, set hub.listen.insecure: true';
const WSS_HINT = 'Give the hub a certificate (hub.listen.tls) or a TLS proxy, or, on a network that you trust, set sidecar.insecure: true';

/** Whether all of these options are valid by themselves; otherwise a rule that reads them is skipped. */
type Sound = (...paths: readonly string[]) => boolean;

/** Problems that involve several options. `known`: the problems found so far. */
export function crossProblems({ hub, sidecar }: AgentcomConfig, known: readonly ConfigProblem[]): ConfigProblem[] {
  const sound: Sound = (...paths) =>
    !known.some((problem) => paths.some((path) => problem.path === path || isBelow(problem.path, path) || isBelow(path, problem.path)));
  return [
    ...(isRecord(hub) ? [...hubTimingProblems(hub, sound), ...limitProblems(hub, sound), ...listenProblems(hub, sound)] : []),
    ...(isRecord(sidecar)
      ? [...deviceKeyProblems(sidecar), ...sidecarTimingProblems(sidecar, sound), ...hubAddressProblems(sidecar, sound)]
      : []),
  ];
}

const isBelow = (path: string, above: string): boolean => path.startsWith(`${above}.`) || path.startsWith(`${above}[`);

/** The minimum number of polls, and so of renewals, per hub lease. */
const LEASE_POLLS = 3;

const GRACE_PARTS = ['heartbeatMs', 'pongWaitMs', 'reconnectMaxMs', 'graceMarginMs'] as const;

function hubTimingProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  const timing = { ...HUB_TIMING, ...withoutUndefined(hub.timing) };
  const problems: ConfigProblem[] = [];
  for (const key of ['backoff', 'breaker'] as const) {
    if (sound(`hub.timing.${key}`)) problems.push(...backoffProblems(`hub.timing.${key}`, timing[key]));
  }
  if (sound('hub.timing.hubLeaseMs', 'hub.timing.pollMs') && timing.hubLeaseMs < LEASE_POLLS * timing.pollMs) {
    problems.push({
      path: 'hub.timing.hubLeaseMs',
      message:
        `expected at least ${LEASE_POLLS * timing.pollMs}, which is ${LEASE_POLLS} × pollMs ${timing.pollMs}, found ${timing.hubLeaseMs}; ` +
        'a hub renews its lease with each poll, and would be presumed dead after a single late one',
    });
  }
  if (!sound('hub.timing.reconnectGraceMs', ...GRACE_PARTS.map((part) => `hub.timing.${part}`))) return problems;
  const least = GRACE_PARTS.reduce((sum, part) => sum + timing[part], 0);
  if (timing.reconnectGraceMs < least) {
    problems.push({
      path: 'hub.timing.reconnectGraceMs',
      message:
        `expected at least ${least}, which is ${GRACE_PARTS.map((part) => `${part} ${timing[part]}`).join(' + ')}, ` +
        `found ${timing.reconnectGraceMs}; a sidecar that lost its connection could not reconnect in time`,
    });
  }
  return problems;
}

/** The proof covers the handshake of hub and sidecar, which does not take place if the token is sent at once. */
const deviceKeyProblems = ({ deviceKey, plainToken }: SidecarConfig): ConfigProblem[] =>
  deviceKey === true && plainToken === true
    ? [
        {
          path: 'sidecar.deviceKey',
          message: 'expected false or left out with sidecar.plainToken, found true; a device key is proved after the hub has proved itself',
        },
      ]
    : [];

function sidecarTimingProblems(sidecar: SidecarConfig, sound: Sound): ConfigProblem[] {
  const path = 'sidecar.timing.reportRepeat';
  return sound(path) ? backoffProblems(path, { ...SIDECAR_TIMING, ...withoutUndefined(sidecar.timing) }.reportRepeat) : [];
}

function backoffProblems(path: string, { firstMs, maxMs }: BackoffTimes): ConfigProblem[] {
  return firstMs <= maxMs ? [] : [{ path: `${path}.maxMs`, message: `expected at least firstMs, which is ${firstMs}, found ${maxMs}` }];
}

function limitProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  return [...bodyProblems(hub, sound), ...frameProblems(hub, sound), ...queueProblems(hub, sound)];
}

function bodyProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  if (!sound('hub.limits.bulkBytes', 'hub.limits.bodyBytesPerToken')) return [];
  const { bulkBytes, bodyBytesPerToken } = { ...HUB_LIMITS, ...withoutUndefined(hub.limits) };
  if (bodyBytesPerToken >= bulkBytes) return [];
  const message = `expected at least bulkBytes, which is ${bulkBytes}, found ${bodyBytesPerToken}; no token could send a bulk submit of that size`;
  return [{ path: 'hub.limits.bodyBytesPerToken', message }];
}

function frameProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  if (!sound('hub.limits.submitBytes', 'hub.limits.frameBytes', 'hub.limits.unidentifiedFrameBytes')) return [];
  const limits = { ...HUB_LIMITS, ...withoutUndefined(hub.limits) };
  const problems: ConfigProblem[] = [];
  const least = limits.submitBytes + ASSIGN_OVERHEAD_BYTES;
  if (limits.frameBytes < least) {
    problems.push({
      path: 'hub.limits.frameBytes',
      message:
        `expected at least ${least}, which is submitBytes ${limits.submitBytes} + ${ASSIGN_OVERHEAD_BYTES}, found ${limits.frameBytes}; ` +
        'an accepted task could not be assigned to a sidecar',
    });
  }
  if (limits.unidentifiedFrameBytes > limits.frameBytes) {
    problems.push({
      path: 'hub.limits.unidentifiedFrameBytes',
      message: `expected at most frameBytes, which is ${limits.frameBytes}, found ${limits.unidentifiedFrameBytes}`,
    });
  }
  return problems;
}

function queueProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  if (!sound('hub.limits.frameBytes', 'hub.limits.socketQueueBytes')) return [];
  const { frameBytes, socketQueueBytes } = { ...HUB_LIMITS, ...withoutUndefined(hub.limits) };
  if (socketQueueBytes >= frameBytes) return [];
  const message = `expected at least frameBytes, which is ${frameBytes}, found ${socketQueueBytes}; a single frame would exceed it`;
  return [{ path: 'hub.limits.socketQueueBytes', message }];
}

function listenProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  return [...tlsProblems(hub, sound), ...openToOthersProblems(hub, sound)];
}

function tlsProblems({ listen, transport }: HubConfig, sound: Sound): ConfigProblem[] {
  if (listen?.tls === undefined || !sound('hub.listen.tls', 'hub.transport')) return [];
  const { name, capabilities } = transport;
  if (capabilities['tls'] !== true) {
    const message = `expected a transport that serves TLS, such as ws(), found ${describe(name)}; use ws(), or a TLS proxy in front of the hub`;
    return [{ path: 'hub.listen.tls', message }];
  }
  if (listen.tls.minVersion !== 'TLSv1.3' || capabilities['tls13Only'] === true) return [];
  const message = `expected TLSv1.2, which is the lowest version that ${name}() can be set to, found "TLSv1.3"; omit it, or use ws()`;
  return [{ path: 'hub.listen.tls.minVersion', message }];
}

function openToOthersProblems(hub: HubConfig, sound: Sound): ConfigProblem[] {
  if (!sound('hub.listen.host')) return [];
  const host = hub.listen?.host ?? DEFAULT_HOST;
  if (isLoopback(host)) return [];
  const problems: ConfigProblem[] = [];
  if (hub.adminToken === undefined && sound('hub.adminToken')) {
    problems.push({
      path: 'hub.adminToken',
      message:
        `is missing; expected a secret, because hub.listen.host ${describe(host)} accepts connections from other machines. ` +
        'Set AGENTCOM_ADMIN_TOKEN, or listen on 127.0.0.1',
      code: 'AC_LISTEN_INSECURE',
    });
  }
  if (hub.listen?.tls === undefined && hub.listen?.insecure !== true && sound('hub.listen.insecure')) {
    problems.push({
      path: 'hub.listen.host',
      message: `expected a loopback address, found ${describe(host)}: tokens and tasks would cross the network unencrypted. ${LISTEN_HINT}`,
      code: 'AC_LISTEN_INSECURE',
    });
  }
  return problems;
}

function hubAddressProblems(sidecar: SidecarConfig, sound: Sound): ConfigProblem[] {
  if (!Array.isArray(sidecar.hubs)) return [];
  return sidecar.hubs.flatMap((url, index): ConfigProblem[] => {
    const path = `sidecar.hubs[${index}]`;
    if (!sound(path)) return [];
    const address = readSocketAddress(url);
    if (address === null) return [{ path, message: `expected ${HUB_ADDRESS_WANTED}, found ${describe(url)}` }];
    if (address.scheme === 'wss' || isLoopback(address.host) || sidecar.insecure === true || !sound('sidecar.insecure')) return [];
    return [
      {
        path,
        message: `expected wss:// for a hub on another machine, found ${describe(url)}: tasks and results would cross the network unencrypted. ${WSS_HINT}`,
        code: 'AC_LISTEN_INSECURE',
      },
    ];
  });
}
