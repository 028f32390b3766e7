/** Connecting, and noticing that a connection is dead. How it becomes identified is in hub-handshake.ts. */
import { backoffMs } from '../../../domain/backoff.ts';
import type { HubFrameOf, PolicyFrame } from '../../../protocol/hub-frames.ts';
import {
  DEFAULT_POLICY,
  HOLD_OFF,
  IDENTIFY_WITHIN_MS,
  POLICY_LEAST,
  POLICY_MOST,
  RECONNECT_EARLY,
  RECONNECT_FIRST_MS,
  REFUSED_WAIT_MS,
} from '../state/bounds.ts';
import { checksToPing, isUnlooked } from '../health/checks.ts';
import { ownReason } from './drain.ts';
import type { Turn } from '../state/step-context.ts';

/** The close code of a connection whose identity another one took. */
const CLOSED_REPLACED = 4001;
/** The close code of a hub that stops or starts anew: another one, if there is one, takes its sidecars meanwhile. */
const CLOSED_RESTART = 1012;

/** Begins a connection; there is none. Not before it is known whether its agent could run, since a hub that knows it gives it tasks. */
export function connect(turn: Turn): void {
  if (turn.state.phase !== 'running' || turn.state.link.phase !== 'down' || isUnlooked(turn.state)) return;
  const { policy } = turn.state.link;
  const { hubs } = turn.setting;
  const number = turn.state.link.number + 1;
  // Any of them to begin with, so that sidecars with one list spread over its hubs.
  const hub = number === 1 ? Math.floor(turn.jitter * hubs.length) : turn.state.link.hub;
  const url = hubs[hub % hubs.length] as string;
  turn.patchLink({ phase: 'connecting', number, hub });
  turn.outwardly({ type: 'connect', link: number, url, frameBytesMax: policy.max_frame_bytes });
  turn.startTimer('identify', IDENTIFY_WITHIN_MS);
}

/** The hub knows this sidecar: the backoff starts anew, and the heartbeat begins. */
export function establish(turn: Turn, frame: HubFrameOf<'identified'>): void {
  const policy = boundedPolicy(turn, frame.policy ?? DEFAULT_POLICY);
  const isFirst = !turn.state.link.everIdentified;
  noteOtherStore(turn, frame.store_id ?? null);
  turn.patchLink({
    phase: 'identified',
    failures: 0,
    holdOffs: 0,
    everIdentified: true,
    awaitingFrame: false,
    policy,
    storeId: frame.store_id ?? null,
    talkedOf: [],
  });
  turn.cancelTimers('identify');
  turn.startTimer('ping', policy.heartbeat_ms);
  turn.log('info', 'identified', { hub_id: frame.hub_id ?? null, store_id: frame.store_id ?? null });
  if (isFirst) turn.outwardly({ type: 'ready' });
}

function boundedPolicy(turn: Turn, asked: PolicyFrame): PolicyFrame {
  const within = (name: keyof PolicyFrame): number => Math.min(POLICY_MOST[name], Math.max(POLICY_LEAST[name], asked[name]));
  const policy: PolicyFrame = {
    heartbeat_ms: within('heartbeat_ms'),
    pong_wait_ms: within('pong_wait_ms'),
    reconnect_max_ms: within('reconnect_max_ms'),
    lease_ms: within('lease_ms'),
    max_frame_bytes: within('max_frame_bytes'),
    reconnect_grace_ms: within('reconnect_grace_ms'),
  };
  const wrong = (Object.keys(policy) as (keyof PolicyFrame)[]).filter((name) => policy[name] !== asked[name]);
  if (wrong.length > 0) turn.log('warn', 'the policy of the hub is out of bounds; keeping to the bounds', { asked, wrong });
  return policy;
}

/** What was given by another store than the hub has now: its hub was restored to an earlier time, or is another hub. */
function noteOtherStore(turn: Turn, storeId: string | null): void {
  const { slots, outbox } = turn.state.journal;
  const others = [...slots, ...outbox].filter((held) => held.storeId !== null && held.storeId !== storeId);
  if (storeId === null || others.length === 0) return;
  turn.log('warn', 'the hub has another store than the one that gave this work: it was restored or replaced', {
    store_id: storeId,
    tasks: [...new Set(others.map(({ taskId }) => taskId))].slice(0, OTHERS_TOLD_MAX),
    count: others.length,
  });
}

/** Tasks that one line of the log names. */
const OTHERS_TOLD_MAX = 20;

/** Any frame shows that the hub is there. */
export function heard(turn: Turn): void {
  if (!turn.state.link.awaitingFrame) return;
  turn.patchLink({ awaitingFrame: false });
  turn.cancelTimers('pong');
}

export function onPingTimer(turn: Turn): void {
  const { phase, policy, awaitingFrame } = turn.state.link;
  if (phase !== 'identified') return;
  // Said with each ping, so that the loss of a single frame cannot leave the hub believing otherwise.
  turn.send({ type: 'ping', draining_reason: ownReason(turn.state), checks: checksToPing(turn) });
  turn.patchLink({ askedAtMs: turn.nowMs });
  // The time of an unanswered ping goes on: where pings are quicker than it, a dead link would never be found.
  if (!awaitingFrame) turn.startTimer('pong', policy.pong_wait_ms);
  turn.patchLink({ awaitingFrame: true });
  turn.startTimer('ping', policy.heartbeat_ms);
}

/** Nothing came after a ping: the connection is dead, whatever the socket says. */
export function onPongTimer(turn: Turn): void {
  if (turn.state.link.phase !== 'identified' || !turn.state.link.awaitingFrame) return;
  turn.log('warn', 'the hub does not answer a ping; connecting anew', { waited_ms: turn.state.link.policy.pong_wait_ms });
  retreat(turn, reconnectMs(turn));
}

export function onIdentifyTimer(turn: Turn): void {
  const { phase } = turn.state.link;
  if (phase === 'down' || phase === 'identified') return;
  turn.log('warn', 'the hub did not answer identify in time; connecting anew', { waited_ms: IDENTIFY_WITHIN_MS });
  retreat(turn, reconnectMs(turn));
}

export function onLinkDown(turn: Turn, input: { readonly link: number; readonly code: number; readonly reason: string }): void {
  if (input.link !== turn.state.link.number || turn.state.link.phase === 'down') return;
  const fields = { code: input.code, reason: input.reason };
  if (input.code === CLOSED_REPLACED) {
    turn.log('error', `another connection took over the agent id "${turn.setting.agentId}"; is this sidecar started twice?`, fields);
    return retreat(turn, holdOffMs(turn));
  }
  turn.log('info', 'not connected to the hub', fields);
  retreat(turn, reconnectMs(turn), input.code === CLOSED_RESTART ? otherHub(turn) : undefined);
}

/** The hub's word against this sidecar, or against a frame of it. */
export function onHubError(turn: Turn, frame: HubFrameOf<'error'>): void {
  const { agentId } = turn.setting;
  if (turn.state.link.phase === 'identified') {
    return turn.log('warn', 'the hub answered with an error', { error: frame.error });
  }
  switch (frame.error) {
    case 'invalid_token':
    case 'token_agent_mismatch':
      turn.log(
        'error',
        `the hub refuses the token of agent "${agentId}" (${frame.error}): ask an operator for a token of this agent, ` +
          'put it into sidecar.token, AGENTCOM_TOKEN or the token file in the data directory, and start the sidecar again',
        { retry_ms: REFUSED_WAIT_MS },
      );
      return retreat(turn, REFUSED_WAIT_MS);
    case 'agent_id_in_use':
      turn.log(
        'error',
        `agent id "${agentId}" is in use by another sidecar: give this one an id of its own, or stop the other; ` +
          `if the other machine is gone for good, POST /api/agents/${agentId}/takeover`,
      );
      return retreat(turn, holdOffMs(turn));
    default:
      turn.log('error', 'the hub refuses to identify this sidecar', { error: frame.error });
      return retreat(turn, Math.max(reconnectMs(turn), frame.retry_after_ms ?? 0));
  }
}

/**
 * Lets go of the connection, if there is one, and plans the next, to `toHub` if that is known: the hub that knew this sidecar
 * is tried once more, one that never let it through is followed by the next of the list.
 */
export function retreat(turn: Turn, delayMs: number, toHub?: number): void {
  const { phase, hub, failures } = turn.state.link;
  const wasIdentified = phase === 'identified';
  turn.patchLink({
    phase: 'down',
    awaitingFrame: false,
    failures: failures + 1,
    hub: toHub ?? (wasIdentified ? hub : (hub + 1) % turn.setting.hubs.length),
  });
  turn.outwardly({ type: 'disconnect' });
  turn.cancelTimers('identify', 'ping', 'pong');
  if (turn.state.phase === 'running') turn.startTimer('reconnect', delayMs);
}

/** Any other of the list, so that those of a hub that stops do not all go to one. */
function otherHub(turn: Turn): number {
  const { length } = turn.setting.hubs;
  return (turn.state.link.hub + 1 + Math.floor(turn.jitter * (length - 1))) % length;
}

/** Jitter only shortens, by up to a half, so that the longest delay is the policy's. */
function reconnectMs(turn: Turn): number {
  const { failures, policy } = turn.state.link;
  const earlyMs = failures < RECONNECT_EARLY.tries ? RECONNECT_EARLY.maxMs : Infinity;
  const fullMs = backoffMs({ firstMs: RECONNECT_FIRST_MS, maxMs: Math.min(earlyMs, policy.reconnect_max_ms) }, failures + 1);
  return Math.round(fullMs * (1 - turn.jitter / 2));
}

function holdOffMs(turn: Turn): number {
  const { holdOffs } = turn.state.link;
  turn.patchLink({ holdOffs: holdOffs + 1 });
  return backoffMs(HOLD_OFF, holdOffs + 1);
}
