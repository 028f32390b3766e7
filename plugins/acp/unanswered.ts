/**
 * Bounds the requests of an agent whose answers it has not read: the SDK keeps them until the answer is in the pipe.
 */
import type { Clock, JsonObject, WakeEvent } from '../plugin.ts';
import { within } from './with-deadline.ts';

/** Maximum number of requests with unread answers. */
export const UNANSWERED_MAX = 1_000;
/** Maximum total size of such requests, characters; a single one may be larger. */
const UNANSWERED_CHARACTERS_MAX = 16 * 1024 * 1024;
/** How long an agent may take to read an answer while the limit is reached; meanwhile nothing is read from it. */
const ANSWER_READ_WITHIN_MS = 5_000;

export interface Unanswered {
  /** Call before a request is passed on. False: too many answers are queued and the agent does not read them. */
  take(characters: number): Promise<boolean>;
  /** An answer is in the pipe. */
  answered(): void;
}

export function unanswered(clock: Clock): Unanswered {
  /** Sizes of the unanswered requests, oldest first. For the sum it does not matter which answer belongs to which. */
  const requests: number[] = [];
  let sum = 0;
  let onAnswered: (() => void) | null = null;
  const hasRoom = (characters: number): boolean =>
    requests.length === 0 || (requests.length < UNANSWERED_MAX && sum + characters <= UNANSWERED_CHARACTERS_MAX);

  return {
    async take(characters) {
      while (!hasRoom(characters)) {
        const before = requests.length;
        await within(clock, ANSWER_READ_WITHIN_MS, new Promise<void>((resolve) => (onAnswered = resolve)));
        if (requests.length === before) return false;
      }
      requests.push(characters);
      sum += characters;
      return true;
    },
    answered() {
      sum -= requests.shift() ?? 0;
      onAnswered?.();
    },
  };
}

/** A request; the SDK only answers ids of these types. */
export const isRequest = ({ method, id }: JsonObject): boolean => typeof method === 'string' && isId(id);

/** Anything else counts as noise: the SDK would answer it with a copy of itself. */
export const isMessage = (value: JsonObject | null): value is JsonObject =>
  value?.['jsonrpc'] === '2.0' &&
  (typeof value['method'] === 'string' ? !('id' in value) || isId(value['id']) : !('method' in value) && 'id' in value);

const isId = (id: unknown): boolean => id === null || typeof id === 'string' || typeof id === 'number';

/** The failure of a run whose agent sends requests without reading the answers. */
export const answersUnread = (): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The agent sent more than ${String(UNANSWERED_MAX)} requests, or ${String(UNANSWERED_CHARACTERS_MAX)} characters of requests, without reading the answers within ${String(ANSWER_READ_WITHIN_MS)} ms, so its output is ignored. It must read its standard input while it sends requests.`,
  retryable: true,
  details: { cause: 'answers_unread', questionsMax: UNANSWERED_MAX, charactersMax: UNANSWERED_CHARACTERS_MAX },
});
