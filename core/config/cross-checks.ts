/** What no single option can be wrong about: rules between options. */
import type { AgentcomConfig, ConfigProblem, HubConfig, SidecarConfig } from './config.ts';
import { describe, isRecord } from './found.ts';
import { DEFAULT_HOST, given } from './given.ts';
import { HUB_LIMITS } from './limits.ts';
import { isLoopback, readSocketAddress } from './loopback.ts';
import { HUB_ADDRESS_WANTED } from './schema.ts';
import { HUB_TIMING, SIDECAR_TIMING, type BackoffTimes } from './times.ts';

/** A `task_assign` says what a submit said, and this much more. */
const ASSIGN_OVERHEAD_BYTES = 65_536;

const TLS_HINT =
  'Put a proxy that speaks TLS (Caddy, nginx) in front of the hub and listen on 127.0.0.1, or, on a network that you trust, set';

/**
 * The problems between options. `known` are those already found: a rule is skipped where an option that it reads is
 * itself wrong.
 */
export function crossProblems(config: AgentcomConfig, known: readonly ConfigProblem[]): ConfigProblem[] {
  const sound = (path: string): boolean => !known.some((problem) => problem.path === path || isBelow(problem.path, path));
  const problems: ConfigProblem[] = [];
  const { hub, sidecar } = config;
  if (isRecord(hub)) {
    if (sound('hub.timing')) problems.push(...hubTimingProblems(hub));
    if (sound('hub.limits')) problems.push(...limitProblems(hub));
    if (sound('hub.listen') && sound('hub.adminToken')) problems.push(...listenProblems(hub));
  }
  if (isRecord(sidecar)) {
    if (sound('sidecar.timing')) problems.push(...sidecarTimingProblems(sidecar));
    if (sound('sidecar.hubs') && sound('sidecar.insecure')) problems.push(...hubAddressProblems(sidecar));
  }
  return problems;
}

const isBelow = (path: string, above: string): boolean => path.startsWith(`${above}.`) || path.startsWith(`${above}[`);

function hubTimingProblems(hub: HubConfig): ConfigProblem[] {
  const timing = { ...HUB_TIMING, ...given(hub.timing) };
  const problems = [...backoffProblems('hub.timing.backoff', timing.backoff), ...backoffProblems('hub.timing.breaker', timing.breaker)];
  const { heartbeatMs, pongWaitMs, reconnectMaxMs, graceMarginMs, reconnectGraceMs } = timing;
  const least = heartbeatMs + pongWaitMs + reconnectMaxMs + graceMarginMs;
  if (reconnectGraceMs < least) {
    problems.push({
      path: 'hub.timing.reconnectGraceMs',
      message:
        `wanted at least ${least}, which is heartbeatMs ${heartbeatMs} + pongWaitMs ${pongWaitMs} + reconnectMaxMs ${reconnectMaxMs} + ` +
        `graceMarginMs ${graceMarginMs}, found ${reconnectGraceMs}; a sidecar that lost its socket could not be back in time`,
    });
  }
  return problems;
}

function sidecarTimingProblems(sidecar: SidecarConfig): ConfigProblem[] {
  return backoffProblems('sidecar.timing.reportRepeat', { ...SIDECAR_TIMING, ...given(sidecar.timing) }.reportRepeat);
}

function backoffProblems(path: string, { firstMs, maxMs }: BackoffTimes): ConfigProblem[] {
  return firstMs <= maxMs ? [] : [{ path: `${path}.maxMs`, message: `wanted at least firstMs, which is ${firstMs}, found ${maxMs}` }];
}

function limitProblems(hub: HubConfig): ConfigProblem[] {
  const limits = { ...HUB_LIMITS, ...given(hub.limits) };
  const problems: ConfigProblem[] = [];
  const least = limits.submitBytes + ASSIGN_OVERHEAD_BYTES;
  if (limits.frameBytes < least) {
    problems.push({
      path: 'hub.limits.frameBytes',
      message:
        `wanted at least ${least}, which is submitBytes ${limits.submitBytes} + ${ASSIGN_OVERHEAD_BYTES}, found ${limits.frameBytes}; ` +
        'a task that was accepted could not be handed to a sidecar',
    });
  }
  if (limits.unidentifiedFrameBytes > limits.frameBytes) {
    problems.push({
      path: 'hub.limits.unidentifiedFrameBytes',
      message: `wanted at most frameBytes, which is ${limits.frameBytes}, found ${limits.unidentifiedFrameBytes}`,
    });
  }
  return problems;
}

function listenProblems(hub: HubConfig): ConfigProblem[] {
  const host = hub.listen?.host ?? DEFAULT_HOST;
  if (isLoopback(host)) return [];
  const problems: ConfigProblem[] = [];
  if (hub.adminToken === undefined) {
    problems.push({
      path: 'hub.adminToken',
      message:
        `is missing; wanted a secret, because hub.listen.host ${describe(host)} lets other machines in. ` +
        'Set AGENTCOM_ADMIN_TOKEN, or listen on 127.0.0.1',
    });
  }
  if (hub.listen?.insecure !== true) {
    problems.push({
      path: 'hub.listen.host',
      message: `wanted a loopback address, found ${describe(host)}: tokens and tasks would cross the network in the clear. ${TLS_HINT} hub.listen.insecure: true`,
    });
  }
  return problems;
}

function hubAddressProblems(sidecar: SidecarConfig): ConfigProblem[] {
  return sidecar.hubs.flatMap((url, index): ConfigProblem[] => {
    const path = `sidecar.hubs[${index}]`;
    const address = readSocketAddress(url);
    if (address === null) return [{ path, message: `wanted ${HUB_ADDRESS_WANTED}, found ${describe(url)}` }];
    if (address.scheme === 'wss' || isLoopback(address.host) || sidecar.insecure === true) return [];
    return [
      {
        path,
        message: `wanted wss:// for a hub on another machine, found ${describe(url)}: the token would cross the network in the clear. ${TLS_HINT} sidecar.insecure: true`,
      },
    ];
  });
}
