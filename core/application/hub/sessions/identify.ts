/** Authenticates an identify frame by its token, and makes the command that starts the session. */
import { isAgentId } from '../../../domain/ids.ts';
import { isExpired, type TokenRecord } from '../../../ports/agent-store.ts';
import type { FieldError } from '../../../protocol/field-errors.ts';
import type { WireError } from '../../../protocol/hub-frames.ts';
import { loggedToken } from '../../logged-token.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { IdentifyAnswer, IdentifyCommand } from '../batch/commands.ts';
import { checksFromFrame } from './checks-from-frame.ts';
import type { Frame, ProtocolVersion } from './frames-out.ts';
import type { Proven } from './challenge.ts';
import type { SessionDeps } from './session-deps.ts';

/** What a session remembers about its token. */
export type SessionToken = Pick<TokenRecord, 'id' | 'expiresAtMs'>;

/** What to do about an agent id that is in use. */
const IN_USE =
  'another process uses this agent ID: stop one of them. If both use the same data directory or a copy of it, give this one ' +
  'an agent ID, a token and a data directory of its own';

/** What to do about an agent id that is kept for another machine. */
const KEPT =
  'another machine or data directory was connected with this agent ID a moment ago and may return with its work: this one is let in when ' +
  'retry_after_ms have passed, or at once after an operator has run `agentcom takeover` for it';

/** What to do about an agent that is bound to the key of another machine. */
const WRONG_DEVICE =
  'this agent is bound to the device key of another machine or data directory, or the proof does not fit: start the sidecar there with ' +
  'sidecar.deviceKey, or, if that is gone for good, ask an operator to run `agentcom takeover` for it';

/** The refusal of an identify that its batch refused. */
export function refusalOf(
  answer: Exclude<IdentifyAnswer, { readonly kind: 'identified' }>,
  version: ProtocolVersion,
  tokenId: string,
): RefusedIdentify {
  const { kind } = answer;
  const more =
    kind === 'invalid_device_key'
      ? { detail: WRONG_DEVICE }
      : answer.freeInMs === undefined
        ? { detail: IN_USE }
        : { detail: KEPT, retry_after_ms: answer.freeInMs };
  return { error: kind, counts: kind === 'invalid_device_key', more: version === 1 ? {} : more, tokenId };
}

export interface RefusedIdentify {
  readonly error: WireError;
  /** Whether it counts as a failure of the address. */
  readonly counts: boolean;
  /** Further fields of the answer. */
  readonly more?: Readonly<Record<string, unknown>> | undefined;
  /** Null if there is no such token. */
  readonly tokenId: string | null;
}

export type Identification =
  | { readonly kind: 'made'; readonly command: IdentifyCommand; readonly token: SessionToken }
  | ({ readonly kind: 'refused' } & RefusedIdentify);

/** Who identified, for the log: the token's ID or, if it is unknown, its first characters or its hint. */
export const identifierOf = ({ agent_id: agentId, token }: V2FrameOf<'identify'>, tokenId: string | null, tokenHint: string | null) => ({
  agent_id: String(agentId).slice(0, LOGGED_CHARACTERS),
  token: tokenId ?? (token !== undefined ? loggedToken(token) : tokenHint === null ? 'none' : `hint ${tokenHint}`),
});

/** Checks that the frame has exactly one of `token` and `proof`. */
export function tokenErrors({ token, proof }: V2FrameOf<'identify'>): readonly FieldError[] {
  if (token === undefined && proof === undefined) return [{ field: 'token', error: 'required', detail: 'is required' }];
  if (token === undefined || proof === undefined) return [];
  return [{ field: 'proof', error: 'repeated', detail: 'must be omitted if there is a token' }];
}

export async function identifyCommand(
  frame: V2FrameOf<'identify'>,
  { secret, deviceKey }: Proven,
  version: ProtocolVersion,
  deps: SessionDeps,
): Promise<Identification> {
  const token = secret === null ? undefined : await deps.agents.findToken(deps.digest.sha256(secret));
  if (token === undefined || isExpired(token, deps.clock.nowMs()) || token.role !== 'agent' || token.agentId === null)
    return { kind: 'refused', error: 'invalid_token', counts: true, tokenId: token?.id ?? null };
  if (!isAgentId(frame.agent_id) || token.agentId !== frame.agent_id)
    return { kind: 'refused', error: 'token_agent_mismatch', counts: true, tokenId: token.id };
  if (frame.device_key !== undefined && deviceKey === null)
    return { kind: 'refused', error: 'invalid_device_key', counts: true, more: { detail: WRONG_DEVICE }, tokenId: token.id };
  const retryAfterMs = Math.max(
    deps.throttle.retryAfterMs(`agent ${token.agentId}`, deps.clock.nowMs()),
    deps.rates.retryAfterMs(token.agentId),
  );
  if (retryAfterMs > 0)
    return { kind: 'refused', error: 'rate_limited', counts: false, more: { retry_after_ms: retryAfterMs }, tokenId: token.id };
  const fixed = token.capabilities;
  const claimed = frame.capabilities ?? [];
  return {
    kind: 'made',
    token: { id: token.id, expiresAtMs: token.expiresAtMs },
    command: {
      kind: 'identify',
      agentId: token.agentId,
      name: frame.name ?? token.agentId,
      protocolVersion: version,
      deviceKey,
      instanceId: version === 2 ? (frame.instance_id ?? null) : null,
      processId: version === 2 ? (frame.process_id ?? null) : null,
      isVolatile: version === 2 && frame.volatile === true,
      inProcess: version === 2 && frame.in_process === true,
      capabilities: fixed === null ? claimed : claimed.filter((capability) => fixed.includes(capability)),
      slots:
        version === 1
          ? 1
          : Math.min(frame.slots ?? 1, token.maxSlots ?? deps.context.limits.slotsPerAgent, deps.context.limits.slotsPerAgent),
      // A version 2 sidecar would not renew it: the hub itself knows which tasks the agent has.
      reportedStatus: version === 1 ? (frame.status ?? null) : null,
      held:
        version === 1
          ? null
          : (frame.held ?? []).map((held) => ({
              taskId: held.task_id,
              generation: held.generation,
              status: held.status,
              storeId: held.store_id ?? null,
            })),
      checks: version === 1 || frame.checks === undefined ? null : checksFromFrame(frame.checks),
      hubId: deps.context.hubId,
    },
  };
}

/**
 * The answer to `identify_check`. Another machine uses the agent id if it is connected with another instance id. The agent may be bound to a
 * device key that this machine has not proved: a field of the answer, because an older doctor proves none, whatever its machine has.
 */
export async function identifyChecked({ agentId, instanceId, deviceKey = null }: IdentifyCommand, { agents }: SessionDeps): Promise<Frame> {
  const agent = (await agents.getAgent(agentId))?.agent;
  const bound = agent?.deviceKey ?? null;
  return {
    type: 'identify_checked',
    agent_id: agentId,
    in_use: agent?.connected === true && agent.instanceId !== instanceId,
    ...(bound !== null && bound !== deviceKey ? { wrong_device: true } : {}),
  };
}

/**
 * Warns that a sidecar holds tasks of another store: this one was restored from a backup, or replaced another. Held tasks are
 * checked by their generations as always, but operators must know that newer work may be missing here.
 */
export function noteOtherStore({ agentId, held }: IdentifyCommand, { storeId, refusedFrames, log }: SessionDeps): void {
  const others = (held ?? []).filter((one) => one.storeId !== null && one.storeId !== storeId());
  if (others.length === 0) return;
  for (const _ of others) refusedFrames.add('of_another_store');
  log.warn('a sidecar holds tasks of another store: this store was restored or replaced, and newer work may be missing', {
    agent_id: agentId,
    store_id: storeId(),
    other_store_ids: [...new Set(others.map((one) => one.storeId))],
    tasks: others.slice(0, LOGGED_MAX).map(({ taskId }) => taskId),
    count: others.length,
  });
}

/** Text from a peer is truncated to this many characters in the log. */
export const LOGGED_CHARACTERS = 64;
/** Tasks that one log line names. */
const LOGGED_MAX = 20;
