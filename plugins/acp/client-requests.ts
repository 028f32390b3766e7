/** Connects an agent's pipes, the conversation with it, and the listener of its run. */
import {
  messageOf,
  objectOf,
  textOf,
  tooMuchOutput,
  type OutputListener,
  type AgentStartContext,
  type Emit,
  type LaunchedPiped,
  type JsonObject,
  type WakeRunnerDeps,
} from '../plugin.ts';
import { withPiece } from '../run-kit/output/whole-lines.ts';
import { converse } from './conversation.ts';
import { messageReader } from './messages.ts';
import { modelOfSession, type AcpOptions } from './options.ts';
import type { AcpPackage } from './sdk-package.ts';
import { acpStream } from './stream.ts';
import { answersUnread } from './unanswered.ts';
import { within } from './with-deadline.ts';

/** How long the last output of an agent that has ended may take to arrive through its pipe. */
const LAST_OUTPUT_WITHIN_MS = 1_000;
/** A session's history counts as complete after this time without messages; replaying one took 10 ms in all. */
const HISTORY_QUIET_MS = 500;
/** The prompt is sent after this time, however long the history is. */
const HISTORY_WITHIN_MS = 20_000;

export interface AgentConnectionOptions {
  readonly acp: AcpPackage;
  readonly options: AcpOptions;
  /** Absolute. */
  readonly cwd: string;
  readonly facts: AgentStartContext;
  readonly listener: OutputListener;
  readonly emit: Emit;
  readonly deps: WakeRunnerDeps;
}

export interface AgentConnection {
  /** Asks the agent to cancel, waits up to the given time, and then closes its input, which tells it to exit. */
  cancelAndClose(withinMs: number): Promise<void>;
  /** Whether the agent's input is closed. */
  isInputClosed(): boolean;
  /** Resolves when all messages of the agent were handled. */
  flushed(): Promise<void>;
  close(): void;
}

/** Starts at once. When the prompt is answered, the input is closed. */
export function connectAgent(
  { input, output }: LaunchedPiped,
  { acp, options, cwd, facts, listener, emit, deps }: AgentConnectionOptions,
): AgentConnection {
  const { log, clock } = deps;
  const { runId } = facts.request;
  const reader = messageReader();
  let isClosed = false;
  let messages = 0;

  /** The end of the text that the agent is writing, which waits for the rest of its line. */
  let held = '';
  let heldOf = '';
  const say = (text: string): Promise<void> => emit({ type: 'output', stream: 'stdout', text });
  const emitHeld = async (): Promise<void> => {
    const text = held;
    held = '';
    if (text !== '') await say(text);
  };

  const onLine = async (message: JsonObject): Promise<void> => {
    const piece = pieceOf(message);
    if (piece?.of !== heldOf) await emitHeld();
    const events = await listener.onMessage(message);
    for (const event of events) await emit(event);
    if (piece === null) return events.length === 0 ? await say(summaryOf(message)) : undefined;
    const split = withPiece(held, piece.text);
    [held, heldOf] = [split.held, piece.of];
    // Even if there is no whole line, as a sign of life.
    await say(split.whole);
  };
  const onReadFailed = async (error: unknown): Promise<void> => {
    if (isClosed) return;
    log.error('cannot read the output of an agent', { runId, error });
    const message = `The runner cannot read the output of the agent: ${messageOf(error)}`;
    await emit({ type: 'failed', phase: 'agent', message, retryable: true });
  };
  // The agent may exit or stop reading at any time, which is reported with its end.
  input.on('error', (error) => {
    log.debug('the pipe to an agent has broken', { runId, error: messageOf(error) });
  });
  const { stream, handled } = acpStream({
    input,
    output,
    lineBytesMax: options.maxLineBytes,
    onSent: reader.sent,
    onMessage(message) {
      messages += 1;
      return onLine(reader.received(message));
    },
    onNoise: (text) => emit({ type: 'output', stream: 'stdout', text }),
    clock,
    onTooMuch: (bytesMax) => emit(tooMuchOutput(bytesMax)),
    onUnread: () => emit(answersUnread()),
    onDropped(line) {
      log.warn('dropped a line of output that was too long or held too many values', { runId, lines: 1 });
      listener.onDropped?.(line);
    },
  });
  const handledOrFailed = handled.catch(onReadFailed);
  const historyReplayed = async (): Promise<void> => {
    const untilMs = clock.monotonicMs() + HISTORY_WITHIN_MS;
    let before: number;
    do {
      before = messages;
      await within(clock, HISTORY_QUIET_MS, handledOrFailed);
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
    historyReplayed,
    onError: (message) => onLine({ kind: 'unable', message }),
  });
  void conversation.over.then(() => input.end());

  return {
    async cancelAndClose(withinMs) {
      if (conversation.cancel()) await within(clock, withinMs, conversation.over);
      input.end();
    },
    isInputClosed: () => input.writableEnded,
    async flushed() {
      await within(clock, LAST_OUTPUT_WITHIN_MS, handledOrFailed);
      await emitHeld();
    },
    close() {
      isClosed = true;
      conversation.close();
      input.destroy();
      output.destroy();
    },
  };
}

/** A piece of a text that the agent is writing, and which text it belongs to; null for any other message. */
function pieceOf({ update }: JsonObject): { readonly of: string; readonly text: string } | null {
  const { sessionUpdate, messageId, content } = objectOf(update);
  const text = textOf(objectOf(content)['text']);
  if (text === null || !String(sessionUpdate).endsWith('_chunk')) return null;
  return { of: JSON.stringify([sessionUpdate, messageId]), text };
}

/** The text of an update, or its kind. */
const summaryOf = ({ kind, update }: JsonObject): string =>
  textOf(objectOf(objectOf(update)['content'])['text']) ?? textOf(objectOf(update)['sessionUpdate']) ?? String(kind);
