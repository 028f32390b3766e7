/** What every run of an agent has, however it is talked to: its prompt, its session, its timers, and words for its failures. */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../core/ports/clock.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { FailureCause, WakeEvent, WakeRequest } from '../../../core/ports/wake-runner.ts';
import type { Emit } from '../events/wake-events.ts';
import { acceptedBy } from './acceptance.ts';
import { agentEars, type AgentEars } from './output-listener.ts';
import { agentPrompt, DEFAULT_PROMPT } from './agent-prompt.ts';
import { withCure, type Cures } from './cures.ts';
import type { AgentDialect, Session, Verdict } from './dialect.ts';
import { sessionNotes, type SessionNotes } from './session-notes.ts';

/** From the start of the process to the first word of the agent. */
export const START_WITHIN_MS = 30_000;
/** Between two lines of the program. */
export const IDLE_MS = 600_000;
/** From the result until what is left of the run is stopped. */
export const LINGER_MS = 1_000;

/** What a config may say of any agent program. */
export interface AgentRunSettings {
  /** Replaces the prompt that all agents get. */
  readonly prompt?: string | undefined;
  /** `resume`: another attempt at a task goes on with the session of the earlier one on this machine. Default `fresh`. */
  readonly session?: 'fresh' | 'resume' | undefined;
  readonly startWithinMs?: number | undefined;
  readonly idleMs?: number | undefined;
  readonly graceMs?: number | undefined;
  readonly maxLineBytes?: number | undefined;
  /** Checks whose "not ok" counts for nothing, by their names. */
  readonly ignoreChecks?: readonly string[] | undefined;
}

/** What is known when a run is about to start. */
export interface AgentStartFacts {
  readonly request: WakeRequest;
  readonly prompt: string;
  /** The session to go on with; null for a fresh one. */
  readonly session: Session | null;
}

export interface AgentRunsOptions<State> {
  /** The runner, as its factory is called: names its notes. */
  readonly name: string;
  /** The program, as people call it. */
  readonly title: string;
  readonly settings: AgentRunSettings;
  readonly dialect: AgentDialect<State>;
  /** Whether the program says something before its model has answered; else only `idleMs` counts. Default true. */
  readonly speaksFirst?: boolean | undefined;
  /** Whether it prints what it does while it works; else what it writes to standard error is a sign of life too. Default true. */
  readonly printsEvents?: boolean | undefined;
  /** The longest prompt that the program takes. */
  readonly promptMax?: { readonly unit: 'characters' | 'bytes'; readonly count: number } | undefined;
  /** What a session belongs to beside its task, such as a folder: with another one a run begins afresh. */
  readonly sessionPlace?: string | undefined;
  /** What a person can do about a failure, a sentence; for kinds that it leaves out there is a general one. */
  readonly cures?: Partial<Cures> | undefined;
}

export interface AgentRunsDeps {
  /** For the notes of sessions. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface AgentRuns {
  /** What a run begins with, or why it cannot begin. */
  begin(request: WakeRequest): Promise<AgentStartFacts | PromptRefusal>;
  /** Who listens to a run, also to one that an earlier sidecar began. */
  ears(request: WakeRequest, tell: Emit): Promise<AgentEars>;
}

/** A run is settled by the first verdict of the dialect and by nothing else. */
export function agentRuns<State>({ dataDir, clock, log }: AgentRunsDeps, options: AgentRunsOptions<State>): AgentRuns {
  const { dialect, settings, speaksFirst = true, printsEvents = true } = options;
  const { idleMs = IDLE_MS, startWithinMs = START_WITHIN_MS } = settings;
  const times = { startWithinMs: speaksFirst ? startWithinMs : undefined, idleMs, lingerMs: LINGER_MS };
  const notes = settings.session === 'resume' ? sessionNotes(notesFolder(dataDir, options), log) : null;
  const explain = (verdict: Verdict): Verdict => explained(verdict, options);

  return {
    async begin(request) {
      const session = (await notes?.before(request)) ?? null;
      const prompt = agentPrompt(settings.prompt ?? DEFAULT_PROMPT, { request, isResumed: session !== null });
      return tooLong(prompt, options) ?? { request, prompt, session };
    },
    async ears(request, tell) {
      const session = (await notes?.before(request)) ?? null;
      return agentEars({
        dialect,
        session,
        accepts: acceptedBy(request.task),
        times,
        errorsAreLife: !printsEvents,
        lineBytesMax: settings.maxLineBytes,
        clock,
        tell,
        explain,
        async onSession(id, totals) {
          await notes?.keep(request, { id, totals: session?.id === id ? session.totals : {} }, totals);
        },
        onSettled: (verdict) => settledNote(notes, request, { verdict, isResumed: session !== null }),
        async onSessionGone({ message }) {
          log.warn('a session cannot be gone on with; its task begins afresh', { taskId: request.taskId, runId: request.runId, message });
          await notes?.forget(request);
        },
      });
    },
  };
}

function notesFolder<State>(dataDir: string, { name, sessionPlace }: AgentRunsOptions<State>): string {
  const place = sessionPlace === undefined ? [] : [createHash('sha256').update(sessionPlace).digest('hex').slice(0, 16)];
  return join(dataDir, 'sessions', name, ...place);
}

/** Kinds after which the same session can be gone on with, although nothing was done. */
const SESSION_IS_FINE: ReadonlySet<FailureCause | undefined> = new Set(['auth', 'rate_limited', 'model_unavailable']);

/** A session that is done with is forgotten, and so is one that could not be gone on with: the next attempt begins afresh. */
async function settledNote(
  notes: SessionNotes | null,
  request: WakeRequest,
  { verdict, isResumed }: { readonly verdict: Verdict; readonly isResumed: boolean },
): Promise<void> {
  const isUseless = verdict.type === 'failed' && isResumed && verdict.beforeWork === true && !SESSION_IS_FINE.has(verdict.kind);
  if (verdict.type === 'completed' || isUseless) await notes?.forget(request);
}

/** Says whose failure it is, where, and what can be done. */
function explained<State>(verdict: Verdict, { title, cures }: AgentRunsOptions<State>): Verdict {
  if (verdict.type === 'completed') return verdict;
  return {
    ...verdict,
    message: withCure(`${title} on ${hostname()}: ${verdict.message}`, verdict.kind, cures, verdict.details?.['reason']),
  };
}

/** Nothing can be started for this task. */
export type PromptRefusal = Extract<WakeEvent, { readonly type: 'failed' }> & { readonly phase: 'spawn' };

/** A matter of the task, not of the agent: other tasks fit. */
function tooLong<State>(prompt: string, { title, promptMax }: AgentRunsOptions<State>): PromptRefusal | null {
  if (promptMax === undefined) return null;
  const { unit, count } = promptMax;
  const found = unit === 'bytes' ? Buffer.byteLength(prompt) : prompt.length;
  if (found <= count) return null;
  return {
    type: 'failed',
    phase: 'spawn',
    kind: 'limit',
    message: `The prompt of this task has ${String(found)} ${unit}, and ${title} takes ${String(count)}. Put the long part into a file and name it in the task.`,
    retryable: false,
    beforeWork: true,
    details: { cause: 'limit', found, max: count, unit },
  };
}
