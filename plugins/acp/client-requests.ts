/** Joins the pipes of an agent, the conversation with it and who listens to its run. */
import {
  messageOf,
  objectOf,
  textOf,
  tooMuchOutput,
  type AgentEars,
  type AgentStartFacts,
  type Emit,
  type LaunchedPiped,
  type SaidObject,
  type WakeRunnerDeps,
} from '../plugin.ts';
import { converse } from './conversation.ts';
import { messageReader } from './messages.ts';
import { modelOfSession, type AcpOptions } from './options.ts';
import type { AcpPackage } from './sdk-package.ts';
import { acpStream } from './stream.ts';
import { answersUnread } from './unanswered.ts';
import { within } from './with-deadline.ts';

/** How long the last words of an agent that has ended may take to come through its pipe. */
const LAST_WORDS_MS = 1_000;
/** A session's history has been told when nothing came for so long; one that was seen took 10 ms for all of it. */
const HISTORY_QUIET_MS = 500;
/** However much there is of it, the prompt is given then. */
const HISTORY_WITHIN_MS = 20_000;

export interface TalkOptions {
  readonly acp: AcpPackage;
  readonly options: AcpOptions;
  /** Absolute. */
  readonly cwd: string;
  readonly facts: AgentStartFacts;
  readonly ears: AgentEars;
  readonly emit: Emit;
  readonly deps: WakeRunnerDeps;
}

export interface Talk {
  /** Asks it to break off, waits so long for that, and ends its input, which tells it to end. */
  goodbye(withinMs: number): Promise<void>;
  /** Its input has ended. */
  hasHungUp(): boolean;
  /** Resolves when all that it said was told. */
  lastWords(): Promise<void>;
  close(): void;
}

/** Begins at once. When the prompt is answered, its input is ended. */
export function talkWith({ input, output }: LaunchedPiped, { acp, options, cwd, facts, ears, emit, deps }: TalkOptions): Talk {
  const { log, clock } = deps;
  const { runId } = facts.request;
  const reader = messageReader();
  let isClosed = false;
  let messages = 0;

  const hear = async (said: SaidObject): Promise<void> => {
    const events = await ears.hearSaid(said);
    for (const event of events) await emit(event);
    if (events.length === 0) await emit({ type: 'output', stream: 'stdout', text: wordsOf(said) });
  };
  const deafened = async (error: unknown): Promise<void> => {
    if (isClosed) return;
    log.error('cannot read what an agent says', { runId, error });
    const message = `The runner cannot read what the agent says: ${messageOf(error)}`;
    await emit({ type: 'failed', phase: 'agent', message, retryable: true });
  };
  // It may end, or stop reading, at any time; its end tells of that.
  input.on('error', (error) => {
    log.debug('the pipe to an agent has broken', { runId, error: messageOf(error) });
  });
  const { stream, heard } = acpStream({
    input,
    output,
    lineBytesMax: options.maxLineBytes,
    onSent: reader.sent,
    onMessage(message) {
      messages += 1;
      return hear(reader.received(message));
    },
    onNoise: (text) => emit({ type: 'output', stream: 'stdout', text }),
    clock,
    onTooMuch: (bytesMax) => emit(tooMuchOutput(bytesMax)),
    onUnread: () => emit(answersUnread()),
    onDropped(line) {
      log.warn('a line of output was too long, or held too many values, and is left out', { runId, lines: 1 });
      ears.onDropped?.(line);
    },
  });
  const told = heard.catch(deafened);
  const historyTold = async (): Promise<void> => {
    const untilMs = clock.monotonicMs() + HISTORY_WITHIN_MS;
    let before: number;
    do {
      before = messages;
      await within(clock, HISTORY_QUIET_MS, told);
    } while (messages !== before && clock.monotonicMs() < untilMs);
  };
  const conversation = converse({
    acp,
    stream,
    cwd,
    prompt: facts.prompt,
    session: facts.session,
    model: modelOfSession(options),
    policy: options,
    historyTold,
    onUnable: (message) => hear({ said: 'unable', message }),
  });
  void conversation.over.then(() => input.end());

  return {
    async goodbye(withinMs) {
      if (conversation.cancel()) await within(clock, withinMs, conversation.over);
      input.end();
    },
    hasHungUp: () => input.writableEnded,
    lastWords: () => within(clock, LAST_WORDS_MS, told),
    close() {
      isClosed = true;
      conversation.close();
      input.destroy();
      output.destroy();
    },
  };
}

/** What it writes at the moment, or what kind of news it has. */
const wordsOf = ({ said, update }: SaidObject): string =>
  textOf(objectOf(objectOf(update)['content'])['text']) ?? textOf(objectOf(update)['sessionUpdate']) ?? String(said);
