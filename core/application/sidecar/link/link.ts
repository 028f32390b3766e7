/** Connects to a hub, detects a dead connection and reconnects. hub-handshake.ts identifies the connection. */
import { backoffMs } from '../../../domain/backoff.ts';
import { PersistentMap } from '../../../domain/persistent-map.ts';
import type { HubFrameOf, PolicyFrame } from '../../../protocol/hub-frames.ts';
import {
  DEFAULT_POLICY,
  IDENTITY_BACKOFF,
  IDENTIFY_WITHIN_MS,
  POLICY_MIN,
  POLICY_MAX,
  RECONNECT_EARLY,
  RECONNECT_FIRST_MS,
  TOKEN_RETRY_MS,
} from '../state/constants.ts';
import { checksForPing, isAwaitingFirstChecks } from '../health/checks.ts';
import { CLOSE_CODES } from '../../../protocol/close-codes.ts';
import { ownDrainReason } from './drain.ts';
import type { StepContext } from '../state/step-context.ts';

/** Maximum number of tasks named in one log line. */
const TASKS_LOGGED_MAX = 20;
/**
 * The maximum wait that a refusal may request, milliseconds. Any program at the hub's address can refuse without proving itself. A hub may
 * need more: it blocks an agent for 2 minutes at most, but keeps an agent ID for its reconnect grace, which its config sets (3 minutes by
 * default, a year at most) and which a sidecar learns only once it is identified. Such a hub refuses it again, at no cost to either.
 */
const REFUSAL_WAIT_MS_MAX = 60_000;
/** How long after the hub lets it in a sidecar with another instance identifies, since the hub's clock counts. Milliseconds. */
const KEPT_MARGIN_MS = 500;

/**
 * Opens a connection if there is none. Does nothing before the first runner checks are done, because the hub may assign tasks as soon
 * as the sidecar is identified.
 */
export function connect(step: StepContext): void {
  if (step.state.phase !== 'running' || step.state.link.phase !== 'down' || isAwaitingFirstChecks(step.state)) return;
  const { policy } = step.state.link;
  const { hubs } = step.settings;
  const connectionId = step.state.link.connectionId + 1;
  // Start at a random hub so that sidecars with the same list spread out.
  const hubIndex = connectionId === 1 ? Math.floor(step.random * hubs.length) : step.state.link.hubIndex;
  const url = hubs[hubIndex % hubs.length] as string;
  step.patchLink({ phase: 'connecting', connectionId, hubIndex });
  step.afterPersist({ type: 'connect', connectionId, url, frameBytesMax: policy.max_frame_bytes });
  step.startTimer('identify', IDENTIFY_WITHIN_MS);
}

/** The hub has identified this sidecar: resets the backoff and starts the heartbeat. */
export function onIdentified(step: StepContext, frame: HubFrameOf<'identified'>): void {
  const policy = boundedPolicy(step, frame.policy ?? DEFAULT_POLICY);
  const isFirst = !step.state.link.everIdentified;
  warnIfStoreDiffers(step, frame.store_id ?? null);
  step.patchLink({
    phase: 'identified',
    failures: 0,
    identityConflicts: 0,
    everIdentified: true,
    awaitingFrame: false,
    policy,
    storeId: frame.store_id ?? null,
    mayBeRefused: new PersistentMap(),
  });
  step.cancelTimers('identify');
  step.startTimer('ping', policy.heartbeat_ms);
  step.log('info', 'identified', { hub_id: frame.hub_id ?? null, store_id: frame.store_id ?? null });
  if (isFirst) step.afterPersist({ type: 'ready' });
}

function boundedPolicy(step: StepContext, requested: PolicyFrame): PolicyFrame {
  const clamp = (name: keyof PolicyFrame): number => Math.min(POLICY_MAX[name], Math.max(POLICY_MIN[name], requested[name]));
  const policy: PolicyFrame = {
    heartbeat_ms: clamp('heartbeat_ms'),
    pong_wait_ms: clamp('pong_wait_ms'),
    reconnect_max_ms: clamp('reconnect_max_ms'),
    lease_ms: clamp('lease_ms'),
    max_frame_bytes: clamp('max_frame_bytes'),
    reconnect_grace_ms: clamp('reconnect_grace_ms'),
  };
  const clamped = (Object.keys(policy) as (keyof PolicyFrame)[]).filter((name) => policy[name] !== requested[name]);
  // By name: the frame may have other fields, of any length.
  const outOfBounds = Object.fromEntries(clamped.map((name) => [name, requested[name]]));
  if (clamped.length > 0) step.log('warn', "the hub's policy is out of bounds and was clamped", { requested: outOfBounds });
  return policy;
}

/** Assignments from another store mean that the hub was restored from a backup or replaced. */
function warnIfStoreDiffers(step: StepContext, storeId: string | null): void {
  const { slots, outbox } = step.state.journal;
  const others = [...slots, ...outbox].filter((held) => held.storeId !== null && held.storeId !== storeId);
  if (storeId === null || others.length === 0) return;
  step.log('warn', 'this sidecar holds assignments from another store: the hub was restored or replaced', {
    store_id: storeId,
    tasks: [...new Set(others.map(({ taskId }) => taskId))].slice(0, TASKS_LOGGED_MAX),
    count: others.length,
  });
}

/** Any frame proves that the hub is alive. */
export function markAlive(step: StepContext): void {
  if (!step.state.link.awaitingFrame) return;
  step.patchLink({ awaitingFrame: false });
  step.cancelTimers('pong');
}

export function onPingTimer(step: StepContext): void {
  const { phase, policy, awaitingFrame } = step.state.link;
  if (phase !== 'identified') return;
  // Repeated with each ping, so that losing one frame cannot leave the hub with stale state.
  step.send({ type: 'ping', draining_reason: ownDrainReason(step.state), checks: checksForPing(step) });
  // Do not restart the timer: with a ping interval shorter than the pong timeout, a dead connection would never be detected.
  if (!awaitingFrame) step.startTimer('pong', policy.pong_wait_ms);
  // The pong carries the hub's time.
  step.patchLink({ awaitingFrame: true, timeRequestedAtMs: step.nowMs });
  step.startTimer('ping', policy.heartbeat_ms);
}

/** No frame has arrived since the ping: the connection is dead, even if the socket is open. */
export function onPongTimer(step: StepContext): void {
  if (step.state.link.phase !== 'identified' || !step.state.link.awaitingFrame) return;
  step.log('warn', 'the hub did not answer a ping; reconnecting', { waited_ms: step.state.link.policy.pong_wait_ms });
  reconnectIn(step, reconnectDelayMs(step));
}

export function onIdentifyTimer(step: StepContext): void {
  const { phase } = step.state.link;
  if (phase === 'down' || phase === 'identified') return;
  step.log('warn', 'not identified by the hub in time; reconnecting', { phase, waited_ms: IDENTIFY_WITHIN_MS });
  reconnectIn(step, reconnectDelayMs(step));
}

export function onLinkDown(
  step: StepContext,
  input: { readonly connectionId: number; readonly code: number; readonly reason: string },
): void {
  if (input.connectionId !== step.state.link.connectionId || step.state.link.phase === 'down') return;
  const fields = { code: input.code, reason: input.reason };
  if (input.code === CLOSE_CODES.idInUse) {
    step.log('error', `another connection took over the agent ID "${step.settings.agentId}"; is this sidecar running twice?`, fields);
    return reconnectAfterConflict(step);
  }
  const isFailedAttempt = step.state.link.phase === 'connecting';
  if (isFailedAttempt) step.log('warn', 'could not connect to the hub', { hub: urlOf(step), ...fields });
  else step.log('info', 'the connection to the hub was closed', fields);
  reconnectIn(step, reconnectDelayMs(step), input.code === CLOSE_CODES.restart ? randomOtherHub(step) : undefined);
}

/** The address of the hub that this sidecar is connected to, or connects to. */
export const urlOf = ({ settings, state }: StepContext): string => settings.hubs[state.link.hubIndex % settings.hubs.length] as string;

/** The hub rejected this sidecar or one of its frames. */
export function onHubError(step: StepContext, frame: HubFrameOf<'error'>): void {
  const { agentId } = step.settings;
  if (step.state.link.phase === 'identified') {
    return step.log('warn', 'the hub answered with an error', { error: frame.error });
  }
  switch (frame.error) {
    case 'invalid_token':
    case 'token_agent_mismatch':
      step.log(
        'error',
        `the hub refuses the token of agent "${agentId}" (${frame.error}): ask an operator for a token for this agent, ` +
          'put it into sidecar.token or AGENTCOM_TOKEN and start the sidecar again, or into the token file in the data directory, ' +
          'which is read at each attempt if neither is set',
        { retry_ms: TOKEN_RETRY_MS },
      );
      return reconnectIn(step, TOKEN_RETRY_MS);
    case 'invalid_device_key':
      step.log(
        'error',
        `the hub refuses the device key of agent "${agentId}": the agent is bound to the key of another machine or data directory. Start it there ` +
          `with deviceKey: true; if that is gone for good, an operator can run agentcom takeover ${agentId}`,
        { retry_ms: TOKEN_RETRY_MS },
      );
      return reconnectIn(step, TOKEN_RETRY_MS);
    case 'agent_id_in_use':
      if (frame.retry_after_ms !== undefined) return onIdKept(step, frame.retry_after_ms);
      step.log(
        'error',
        `agent ID "${agentId}" is in use by another sidecar: use another ID here, or stop the other one; ` +
          `if the other machine is gone for good, an operator can run agentcom takeover ${agentId}`,
      );
      return reconnectAfterConflict(step);
    default:
      return onOtherRefusal(step, frame);
  }
}

/** The hub keeps the ID for a machine that was connected a moment ago: perhaps this one, before it lost its data directory. */
function onIdKept(step: StepContext, keptForMs: number): void {
  const { agentId } = step.settings;
  const retryMs = refusedDelayMs(step, Math.min(keptForMs, REFUSAL_WAIT_MS_MAX) + KEPT_MARGIN_MS);
  step.log(
    'warn',
    `agent ID "${agentId}" was just used with another data directory or on another machine, which may return with its work: this sidecar ` +
      `tries again until the hub lets it in; an operator can let it in at once: agentcom takeover ${agentId}`,
    { retry_ms: retryMs },
  );
  reconnectIn(step, retryMs);
}

function onOtherRefusal(step: StepContext, { error, retry_after_ms }: HubFrameOf<'error'>): void {
  const retryMs = refusedDelayMs(step, Math.min(retry_after_ms ?? 0, REFUSAL_WAIT_MS_MAX));
  step.log('error', 'the hub refuses to identify this sidecar', { error, retry_ms: retryMs });
  reconnectIn(step, retryMs);
}

/** As after any failed attempt, but at least as long as the refusal asks for. */
const refusedDelayMs = (step: StepContext, atLeastMs: number): number => Math.max(reconnectDelayMs(step), atLeastMs);

/**
 * Drops the connection, if any, and schedules the next: to the hub at `toHubIndex` if given, to the same hub if it had identified this
 * sidecar, otherwise to the next in the list.
 */
export function reconnectIn(step: StepContext, delayMs: number, toHubIndex?: number): void {
  const { phase, hubIndex, failures } = step.state.link;
  const wasIdentified = phase === 'identified';
  step.patchLink({
    phase: 'down',
    awaitingFrame: false,
    failures: failures + 1,
    hubIndex: toHubIndex ?? (wasIdentified ? hubIndex : (hubIndex + 1) % step.settings.hubs.length),
  });
  step.afterPersist({ type: 'disconnect' });
  step.cancelTimers('identify', 'ping', 'pong');
  if (step.state.phase === 'running') step.startTimer('reconnect', delayMs);
}

/** The index of a random other hub, so that the sidecars of a stopping hub spread out. */
function randomOtherHub(step: StepContext): number {
  const { length } = step.settings.hubs;
  return (step.state.link.hubIndex + 1 + Math.floor(step.random * (length - 1))) % length;
}

/** Jitter only shortens the delay, by up to half, so that the policy's maximum holds. */
function reconnectDelayMs(step: StepContext): number {
  const { failures, policy } = step.state.link;
  const earlyMaxMs = failures < RECONNECT_EARLY.tries ? RECONNECT_EARLY.maxMs : Infinity;
  const fullMs = backoffMs({ firstMs: RECONNECT_FIRST_MS, maxMs: Math.min(earlyMaxMs, policy.reconnect_max_ms) }, failures + 1);
  return Math.round(fullMs * (1 - step.random / 2));
}

/** Another sidecar has this identity: reconnects with a backoff of its own. */
function reconnectAfterConflict(step: StepContext): void {
  const identityConflicts = step.state.link.identityConflicts + 1;
  step.patchLink({ identityConflicts });
  reconnectIn(step, backoffMs(IDENTITY_BACKOFF, identityConflicts));
}
