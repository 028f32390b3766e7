/** Frames that are not about a task: status, resources, checks, drain, the list of agents, messages between agents. */
import { encodedBytes } from '../../../domain/encoded-text.ts';
import type { AgentId } from '../../../domain/ids.ts';
import type { NamedCheck } from '../../../domain/agent/agent.ts';
import type { ChecksFrame, SidecarFrame } from '../../../protocol/sidecar-frames.ts';
import type { PresenceCommand, Reporter } from '../batch/commands.ts';
import type { Allowance } from './limits/agent-meter.ts';
import { checksFromFrame } from './checks-from-frame.ts';
import { cardOf, errorFrame, type ErrorText, type Frame } from './frames-out.ts';
import type { SessionDeps } from './session-deps.ts';

/** Messages of one agent in a minute. A broadcast is smaller, since each other agent gets a copy. */
export const MESSAGES_A_MINUTE = 10;
const MESSAGES: Allowance = { count: MESSAGES_A_MINUTE, bytes: 4_194_304 };
export const BROADCAST_BYTES_MAX = 65_536;
/** Lists, resource reports, and other changes of one agent in a minute. */
const LISTS: Allowance = { count: 60, bytes: 1_048_576 };
const RESOURCES: Allowance = { count: 12, bytes: 1_048_576 };
const CHANGES_A_MINUTE = 120;
const CHANGES: Allowance = { count: CHANGES_A_MINUTE, bytes: 1_048_576 };
/** The type of a message without one, as existing version 1 sidecars expect. */
const MESSAGE_TYPE = 'chat';
/** An agent's resources, bytes of JSON. */
const RESOURCES_BYTES_MAX = 16_384;

type AgentFrame = Exclude<
  SidecarFrame,
  { type: `task_${string}` | 'wake_result' | 'state_report' | 'hello' | 'identify' | 'identify_check' | 'ping' | 'probe_ack' }
>;

interface FrameSink {
  send(frame: Frame): void;
}

export class AgentFrameHandler {
  readonly #deps: SessionDeps;
  readonly #session: FrameSink;

  constructor(deps: SessionDeps, session: FrameSink) {
    this.#deps = deps;
    this.#session = session;
  }

  /** Why the agent accepts no tasks; null if it accepts them. Every ping of version 2 repeats it. */
  onDrainingReason(reason: string | null, from: Reporter): void {
    const agent = this.#deps.roster.get(from.agentId);
    if (agent === undefined || agent.draining || agent.ownDrain === reason) return;
    // Over the limit it is dropped: the next ping repeats it.
    if (this.#waitMs('change', CHANGES, reason?.length ?? 0, from) > 0) return;
    this.#postPresence(from, reason === null ? { what: 'resumed' } : { what: 'draining', reason });
  }

  /** Whether the agent can run. Every ping of version 2 repeats it. */
  onChecks(frame: ChecksFrame, from: Reporter): void {
    const agent = this.#deps.roster.get(from.agentId);
    const checks = checksFromFrame(frame);
    if (agent === undefined || isSame(agent.checks?.failed ?? [], checks.failed)) return;
    if (this.#waitMs('change', CHANGES, encodedBytes(frame), from) > 0) return;
    this.#postPresence(from, { what: 'checks', checks });
  }

  /** `characters`: the length of the frame's text. */
  on(frame: AgentFrame, from: Reporter, characters: number): void {
    switch (frame.type) {
      case 'status':
        if (!this.#isAllowed('change', CHANGES, characters, from)) return;
        return this.#postPresence(from, { what: 'status', status: frame.status }, () => {
          this.#session.send({ type: 'status_updated', status: frame.status });
          this.#notifyOthers(from.agentId);
        });
      case 'list_agents':
        if (this.#isAllowed('list_agents', LISTS, characters, from)) this.#session.send({ type: 'agents', agents: this.#cards() });
        return;
      case 'message':
        if (this.#isAllowed('message', MESSAGES, characters, from)) this.#message(frame, from.agentId);
        return;
      case 'resource_report': {
        if (!this.#isAllowed('resource_report', RESOURCES, characters, from)) return;
        const { type: _, ...resources } = frame;
        if (encodedBytes(resources) <= RESOURCES_BYTES_MAX) return this.#postPresence(from, { what: 'resources', resources });
        const detail = `must have at most ${RESOURCES_BYTES_MAX} bytes`;
        return this.#refuse('validation_failed', { message_type: frame.type, errors: [{ field: '', error: 'size', detail }] });
      }
      case 'agent_restarting':
        if (!this.#isAllowed('change', CHANGES, characters, from)) return;
        return this.#postPresence(from, { what: 'restarting', reason: frame.reason ?? '' });
      case 'draining':
        if (!this.#isAllowed('change', CHANGES, characters, from)) return;
        return this.#postPresence(from, { what: 'draining', reason: frame.reason ?? 'it did not say why' });
      case 'drained':
      case 'resumed':
        if (!this.#isAllowed('change', CHANGES, characters, from)) return;
        return this.#postPresence(from, { what: frame.type });
      case 'runner_checks':
        if (!this.#isAllowed('change', CHANGES, characters, from)) return;
        return this.#postPresence(from, { what: 'checks', checks: checksFromFrame(frame) });
    }
  }

  #postPresence(from: Reporter, change: PresenceCommand['change'], then: () => void = () => undefined): void {
    this.#deps.inbox.post({ kind: 'presence', from, change }, (outcome) => {
      if (outcome.ok) then();
    });
  }

  #message(frame: Extract<AgentFrame, { type: 'message' }>, from: AgentId): void {
    if (!this.#deps.agentMessages) return this.#refuse('message_failed: messages_off');
    const id = this.#deps.ids.random('msg');
    const message: Frame = {
      type: 'message',
      id,
      from,
      message_type: frame.message_type ?? MESSAGE_TYPE,
      payload: frame.payload,
      reply_to: frame.reply_to ?? null,
      timestamp: this.#deps.clock.nowMs(),
    };
    // With its envelope the message must not exceed the limit at which the receiver closes its socket.
    const to = frame.to ?? null;
    const { frameBytes } = this.#deps.context.limits;
    if (encodedBytes(message) > (to === null ? Math.min(BROADCAST_BYTES_MAX, frameBytes) : frameBytes))
      return this.#refuse('message_failed: too_large');
    if (to !== null && this.#deps.sendTo(to, message)) return this.#session.send({ type: 'message_sent', id });
    if (to === null) this.#deps.broadcast(from, message, true);
    // The receiver may be connected to another hub.
    this.#deps.inbox.post({ kind: 'mail', id, from, to, frame: JSON.stringify(message) }, (outcome) => {
      if (outcome.ok && outcome.answer.kind === 'sent') this.#session.send({ type: 'message_sent', id });
      else this.#refuse('message_failed: agent_not_connected');
    });
  }

  #refuse(error: ErrorText, more: Readonly<Record<string, unknown>> = {}): void {
    this.#deps.refusedFrames.add(error);
    this.#session.send(errorFrame(error, more));
  }

  #notifyOthers(agentId: AgentId): void {
    const agent = cardOf(agentId, this.#deps);
    if (agent !== undefined) this.#deps.broadcast(agentId, { type: 'status_changed', agent }, false);
  }

  #cards(): readonly Readonly<Record<string, unknown>>[] {
    return this.#deps.roster.connected().flatMap(({ id }) => {
      const card = cardOf(id, this.#deps);
      return card === undefined ? [] : [card];
    });
  }

  /** Whether the agent is within its allowance for this kind of frame; if not, answers `rate_limited`. */
  #isAllowed(kind: string, allowance: Allowance, characters: number, from: Reporter): boolean {
    const waitMs = this.#waitMs(kind, allowance, characters, from);
    if (waitMs > 0) this.#refuse('rate_limited', { retry_after_ms: waitMs });
    return waitMs === 0;
  }

  #waitMs(kind: string, allowance: Allowance, characters: number, from: Reporter): number {
    return this.#deps.meter.take(from.agentId, kind, characters, allowance);
  }
}

const isSame = (a: readonly NamedCheck[], b: readonly NamedCheck[]): boolean =>
  a.length === b.length && a.every(({ check, message }, place) => check === b[place]?.check && message === b[place].message);
