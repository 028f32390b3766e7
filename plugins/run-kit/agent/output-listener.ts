/** Listens to one run of an agent program: settles it by what is said, keeps its timers, and says when enough was heard. */
import type { Clock, Timer } from '../../../core/ports/clock.ts';
import type { Acceptable } from '../../../core/domain/task/task.ts';
import type { RunUsage, WakeEvent } from '../../../core/ports/wake-runner.ts';
import type { SaidEvent } from '../output/follow-output.ts';
import { objectIn, type SaidObject } from '../output/json-lines.ts';
import type { RunEars } from '../started-program.ts';
import type { Emit } from '../events/wake-events.ts';
import {
  agentFailed,
  cutShort,
  type AgentDialect,
  type Heard,
  type HeardLine,
  type Session,
  type SessionGone,
  type SessionTotals,
  type Verdict,
} from './dialect.ts';

export interface AgentTimes {
  /** From the start of the process to the first word of the agent; undefined for a program that says nothing before it has an answer. */
  readonly startWithinMs: number | undefined;
  /** Between two lines of the program; undefined: no bound. */
  readonly idleMs: number | undefined;
  /** From the result until what is left of the run is stopped. */
  readonly lingerMs: number;
}

export interface AgentEarsOptions<State> {
  readonly dialect: AgentDialect<State>;
  readonly session: Session | null;
  /** Ends that are a result for this task. */
  readonly accepts: ReadonlySet<Acceptable>;
  readonly times: AgentTimes;
  /** Whether a line of standard error that says nothing is a sign of life: for a program that prints nothing while it works. */
  readonly errorsAreLife: boolean;
  readonly lineBytesMax?: number | undefined;
  readonly clock: Clock;
  readonly tell: Emit;
  /** Makes a failure fit for people: whose it is, and the cure. */
  readonly explain: (verdict: Verdict) => Verdict;
  /** The session has an id, or has used more: answers when that is kept. */
  readonly onSession: (sessionId: string, totals: SessionTotals) => Promise<void>;
  /** How it was settled; not asked for a run that was stopped. */
  readonly onSettled: (verdict: Verdict) => Promise<void>;
  /** The session cannot be gone on with: answers when that is kept. */
  readonly onSessionGone: (gone: SessionGone) => Promise<void>;
}

export interface AgentEars extends RunEars {
  /** For a program that is talked to: hears something that it said, as an object. Else as a line of standard output. */
  hearSaid(said: SaidObject): Promise<readonly SaidEvent[]>;
}

/** What is told by lines is what the dialect makes of them; the first verdict counts, and later ones are left out. */
export function agentEars<State>(options: AgentEarsOptions<State>): AgentEars {
  const { dialect, times, clock, tell, explain } = options;
  const enough = new AbortController();
  let state = dialect.begin(options.session);
  let sessionId: string | null = null;
  let droppedLines = 0;
  let isInDoubt = false;
  let hasSpoken = false;
  let hasComplained = false;
  let isSettled = false;
  let isSessionGone = false;
  let givingUp: Promise<void> = Promise.resolve();
  let answer: NonNullable<Heard<State>['answer']> | null = null;
  let alarm: Timer | null = null;
  let used: RunUsage = {};

  const alarmIn = (delayMs: number | undefined, fire: () => void): void => {
    alarm?.cancel();
    alarm = delayMs === undefined ? null : clock.after(delayMs, fire);
  };
  const endIn = (delayMs: number): void => {
    alarmIn(delayMs, () => {
      enough.abort();
    });
  };
  /** Text that is not whole is no result; and where the program ended well without one, it was in what is left out. */
  const wholeOnly = (found: Verdict, endedWell: boolean): Verdict => {
    const isLost = found.type === 'completed' ? isInDoubt : endedWell && found.kind === 'no_result' && droppedLines > 0;
    return isLost ? cutShort({ hasWorked: found.type === 'completed' || found.beforeWork !== true }) : found;
  };
  /** A failure that the task takes as its result is one. */
  const asTaken = (found: Verdict): Verdict => {
    if (found.type === 'completed') return found;
    const { acceptable, ...failure } = found;
    const isTaken = acceptable !== undefined && !isInDoubt && acceptable.needs.every((end) => options.accepts.has(end));
    return isTaken ? { type: 'completed', output: acceptable.output, ...used } : failure;
  };
  const settle = async (found: Verdict, endedWell = false): Promise<Verdict> => {
    const verdict = asTaken(wholeOnly(found, endedWell));
    isSettled = true;
    alarm?.cancel();
    await options.onSettled(verdict);
    return explain(verdict);
  };
  const endWithoutVerdict = async (gone: SessionGone): Promise<void> => {
    if (isSettled) return;
    isSettled = true;
    isSessionGone = true;
    await options.onSessionGone(gone);
    endIn(times.lingerMs);
  };
  const endWith = async (verdict: Verdict): Promise<void> => {
    await tell(await settle(verdict));
    enough.abort();
  };
  const giveUp = async (message: string): Promise<void> => {
    await endWith(agentFailed({ kind: 'unresponsive', message, hasWorked: hasSpoken }));
  };
  const watch = (withinMs: number | undefined, what: string): void => {
    if (isSettled) return;
    const isDone = answer?.isAtWork === false;
    alarmIn(isDone ? times.lingerMs : withinMs, () => {
      givingUp = answer === null ? giveUp(`${what} within ${String(withinMs)} ms, and was stopped`) : endWith(answer.verdict);
    });
  };
  const toTell = async (event: SaidEvent | Verdict): Promise<WakeEvent | null> => {
    if (event.type === 'usage') {
      const { type: _usage, ...figures } = event;
      used = figures;
    }
    if (event.type === 'started' && event.sessionId !== undefined && sessionId !== event.sessionId) {
      sessionId = event.sessionId;
      await options.onSession(sessionId, options.session?.id === sessionId ? options.session.totals : {});
    }
    if (event.type !== 'completed' && event.type !== 'failed') return event;
    if (isSettled) return null;
    const verdict = await settle(event);
    // A limit of ours is enforced at once; a program that has ended its work may end by itself.
    endIn(verdict.type === 'failed' && verdict.kind === 'limit' ? 0 : times.lingerMs);
    return verdict;
  };
  const hearLine = async (line: Omit<HeardLine, 'heardAtMs'>): Promise<readonly SaidEvent[]> => {
    const heard = dialect.hear(state, { ...line, heardAtMs: clock.nowMs() });
    state = heard.state;
    answer = heard.answer ?? answer;
    hasSpoken ||= line.stream === 'stdout';
    const hasSaid = line.stream === 'stdout' || options.errorsAreLife || (heard.events ?? []).length > 0;
    // Anything may write to standard error, also beside a program that hangs: there only its first word shows that it starts.
    if (hasSaid || !(hasSpoken || hasComplained)) watch(times.idleMs, 'said nothing');
    hasComplained = true;
    const events: SaidEvent[] = [];
    for (const event of heard.events ?? []) {
      const told = event.type === 'session_gone' ? await endWithoutVerdict(event) : await toTell(event);
      if (told !== null && told !== undefined) events.push(told as SaidEvent);
    }
    if (heard.totals !== undefined && sessionId !== null) await options.onSession(sessionId, heard.totals);
    return events;
  };
  // Anything may write JSON to standard error, as a server of tools its log: a dialect reads words there, and no events.
  const hear = (stream: 'stdout' | 'stderr') => (text: string) =>
    hearLine({ stream, text, json: stream === 'stdout' ? objectIn(text) : null });

  return {
    hear: hear('stdout'),
    hearError: hear('stderr'),
    hearSaid: (said) => hearLine({ stream: 'stdout', text: '', json: said }),
    lineBytesMax: options.lineBytesMax,
    onDropped({ isObject }) {
      droppedLines += 1;
      hasSpoken = true;
      if ((isObject || dialect.spreadsObjects === true) && !isSettled) {
        // It may have been a later answer.
        answer = null;
        isInDoubt ||= dialect.dropped === undefined;
        state = dialect.dropped?.(state) ?? state;
      }
      watch(times.idleMs, 'said nothing');
    },
    enough: enough.signal,
    begun() {
      watch(times.startWithinMs ?? times.idleMs, 'did not begin');
    },
    async ended({ exitCode, signal, stderrTail }) {
      await givingUp;
      if (isSettled) return undefined;
      if (answer !== null) return settle(answer.verdict);
      const verdict = dialect.ended(state, { exitCode, signal, stderrTail, droppedLines });
      if (verdict.type === 'session_gone') {
        await endWithoutVerdict(verdict);
        return undefined;
      }
      // Nobody saw how it ended: that it has no result says more of the machine than of the agent.
      const isLost = exitCode === null && signal === null && verdict.type === 'failed' && verdict.kind === 'no_result';
      return isLost ? undefined : settle(verdict, exitCode === 0);
    },
    isSessionGone: () => isSessionGone,
    close() {
      isSettled = true;
      alarm?.cancel();
    },
  };
}
