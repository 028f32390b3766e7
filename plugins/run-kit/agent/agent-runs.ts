/** What all agent runs share, however their output arrives: prompt, session, timers and error messages. */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { FailureCause, WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Emit } from '../events/wake-events.ts';
import type { SpawnFailure } from '../started-program.ts';
import { acceptedEnds } from './acceptance.ts';
import { outputListener, type OutputListener } from './output-listener.ts';
import { agentPrompt, DEFAULT_PROMPT } from './agent-prompt.ts';
import { withHint, type Hints } from './hints.ts';
import type { AgentDialect, Session, RunOutcome } from './dialect.ts';
import { sessionNotes, type SessionNotes } from './session-notes.ts';

/** From the start of the process to the agent's first output. */
export const START_WITHIN_MS = 30_000;
/** Between two lines of the program. */
export const IDLE_MS = 600_000;
/** From the result until what is left of the run is stopped. */
export const RESULT_GRACE_MS = 1_000;

/** Settings that apply to any agent program. */
export interface AgentRunSettings {
  /** Replaces the default prompt. */
  readonly prompt?: string | undefined;
  /** `resume`: another attempt at a task on this machine resumes the session of the earlier one. Default `fresh`. */
  readonly session?: 'fresh' | 'resume' | undefined;
  readonly startWithinMs?: number | undefined;
  readonly idleMs?: number | undefined;
  readonly graceMs?: number | undefined;
  readonly maxLineBytes?: number | undefined;
  /** Names of checks whose failure is ignored. */
  readonly ignoreChecks?: readonly string[] | undefined;
}

/** What is known when a run is about to start. */
export interface AgentStartContext {
  readonly request: WakeRequest;
  readonly prompt: string;
  /** The session to resume; null for a fresh one. */
  readonly session: Session | null;
}

/** What `agentRuns` needs to know about a program. */
export interface AgentRunsOptions<State> {
  /** Name of the runner's factory, and of its folder of session notes. */
  readonly name: string;
  /** Name of the program in messages. */
  readonly title: string;
  readonly settings: AgentRunSettings;
  readonly dialect: AgentDialect<State>;
  /** Whether the program prints anything before its model has answered; if not, only `idleMs` applies. Default true. */
  readonly printsBeforeAnswer?: boolean | undefined;
  /** Whether the program prints events while it works; if not, standard error counts as a sign of life too. Default true. */
  readonly printsEvents?: boolean | undefined;
  /** The longest prompt that the program accepts. */
  readonly promptMax?: { readonly unit: 'characters' | 'bytes'; readonly count: number } | undefined;
  /** Where sessions can be resumed, such as a folder, if not everywhere on this machine: a run elsewhere starts a new one. */
  readonly sessionPlace?: string | undefined;
  /** How to fix a failure, one sentence per kind; missing kinds get a general one. */
  readonly hints?: Partial<Hints> | undefined;
}

/** Dependencies of `agentRuns`. */
export interface AgentRunsDeps {
  /** For session notes. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The runs of one agent program. */
export interface AgentRuns {
  /** What a run starts with, or why it cannot start. */
  begin(request: WakeRequest): Promise<AgentStartContext | SpawnFailure>;
  /** The listener of a run, adopted ones included. */
  listener(request: WakeRequest, emit: Emit): Promise<OutputListener>;
}

/** A run is settled by the first outcome of the dialect and by nothing else. */
export function agentRuns<State>({ dataDir, clock, log }: AgentRunsDeps, options: AgentRunsOptions<State>): AgentRuns {
  const { dialect, settings, printsBeforeAnswer = true, printsEvents = true } = options;
  const { idleMs = IDLE_MS, startWithinMs = START_WITHIN_MS } = settings;
  const times = { startWithinMs: printsBeforeAnswer ? startWithinMs : undefined, idleMs, resultGraceMs: RESULT_GRACE_MS };
  const notes = settings.session === 'resume' ? sessionNotes(notesFolder(dataDir, options), log) : null;
  const explain = (outcome: RunOutcome): RunOutcome => explained(outcome, options);

  return {
    async begin(request) {
      const session = (await notes?.load(request)) ?? null;
      const prompt = agentPrompt(settings.prompt ?? DEFAULT_PROMPT, { request, isResumed: session !== null });
      return tooLong(prompt, options) ?? { request, prompt, session };
    },
    async listener(request, emit) {
      const session = (await notes?.load(request)) ?? null;
      return outputListener({
        dialect,
        session,
        accepts: acceptedEnds(request.task),
        times,
        stderrIsLife: !printsEvents,
        lineBytesMax: settings.maxLineBytes,
        clock,
        emit,
        explain,
        async onSession(id, totals) {
          await notes?.save(request, { id, totals: session?.id === id ? session.totals : {} }, totals);
        },
        onSettled: (outcome) => updateNotes(notes, request, { outcome, isResumed: session !== null }),
        async onSessionGone({ message }) {
          log.warn('cannot resume a session; starting afresh', { taskId: request.taskId, runId: request.runId, message });
          await notes?.remove(request);
        },
      });
    },
  };
}

function notesFolder<State>(dataDir: string, { name, sessionPlace }: AgentRunsOptions<State>): string {
  const place = sessionPlace === undefined ? [] : [createHash('sha256').update(sessionPlace).digest('hex').slice(0, 16)];
  return join(dataDir, 'sessions', name, ...place);
}

/** Failures after which the same session can be resumed, although nothing was done. */
const RESUMABLE_AFTER: ReadonlySet<FailureCause | undefined> = new Set(['auth', 'rate_limited', 'model_unavailable']);

/** Removes the note of a session that is finished or could not be resumed, so that the next attempt starts a new one. */
async function updateNotes(
  notes: SessionNotes | null,
  request: WakeRequest,
  { outcome, isResumed }: { readonly outcome: RunOutcome; readonly isResumed: boolean },
): Promise<void> {
  const isUseless = outcome.type === 'failed' && isResumed && outcome.beforeWork === true && !RESUMABLE_AFTER.has(outcome.kind);
  if (outcome.type === 'completed' || isUseless) await notes?.remove(request);
}

/** Adds the program, the host and a hint to the message. */
function explained<State>(outcome: RunOutcome, { title, hints }: AgentRunsOptions<State>): RunOutcome {
  if (outcome.type === 'completed') return outcome;
  return {
    ...outcome,
    message: withHint(`${title} on ${hostname()}: ${outcome.message}`, outcome.kind, hints, outcome.details?.['reason']),
  };
}

/** The prompt of this task is too long for the program; other tasks may fit. */
function tooLong<State>(prompt: string, { title, promptMax }: AgentRunsOptions<State>): SpawnFailure | null {
  if (promptMax === undefined) return null;
  const { unit, count } = promptMax;
  const found = unit === 'bytes' ? Buffer.byteLength(prompt) : prompt.length;
  if (found <= count) return null;
  return {
    type: 'failed',
    phase: 'spawn',
    kind: 'limit',
    message: `The prompt of this task has ${String(found)} ${unit}; ${title} accepts at most ${String(count)}. Put the long part into a file and name it in the task.`,
    retryable: false,
    beforeWork: true,
    details: { cause: 'limit', found, max: count, unit },
  };
}
