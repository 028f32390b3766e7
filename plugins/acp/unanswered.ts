/** What an agent has asked and is owed an answer to: the protocol's package keeps all of it until the answer is in the agent's pipe. */
import type { Clock, SaidObject, WakeEvent } from '../plugin.ts';
import { within } from './with-deadline.ts';

/** Questions that may wait for their answers to be read. */
export const UNANSWERED_MAX = 1_000;
/** Such questions together, characters; a single one may be longer. */
export const UNANSWERED_CHARACTERS_MAX = 16 * 1024 * 1024;
/** How long an agent may take to read an answer while no more can wait; meanwhile it is not read either. */
const ANSWER_READ_WITHIN_MS = 5_000;

export interface Unanswered {
  /** Before a question is passed on. False: so many answers wait that no more can, and the agent does not read them. */
  take(characters: number): Promise<boolean>;
  /** An answer is in the pipe. */
  answered(): void;
}

export function unanswered(clock: Clock): Unanswered {
  /** How long each is, oldest first: which answer is to which does not matter for the sum. */
  const questions: number[] = [];
  let sum = 0;
  let onAnswered: (() => void) | null = null;
  const hasRoom = (characters: number): boolean =>
    questions.length === 0 || (questions.length < UNANSWERED_MAX && sum + characters <= UNANSWERED_CHARACTERS_MAX);

  return {
    async take(characters) {
      while (!hasRoom(characters)) {
        const before = questions.length;
        await within(clock, ANSWER_READ_WITHIN_MS, new Promise<void>((resolve) => (onAnswered = resolve)));
        if (questions.length === before) return false;
      }
      questions.push(characters);
      sum += characters;
      return true;
    },
    answered() {
      sum -= questions.shift() ?? 0;
      onAnswered?.();
    },
  };
}

/** It wants an answer; the package answers only ids of these kinds. */
export const isQuestion = ({ method, id }: SaidObject): boolean => typeof method === 'string' && isId(id);

/** Anything else is answered with a copy of itself, so it counts as noise. */
export const isMessage = (said: SaidObject | null): said is SaidObject =>
  said?.['jsonrpc'] === '2.0' &&
  (typeof said['method'] === 'string' ? !('id' in said) || isId(said['id']) : !('method' in said) && 'id' in said);

const isId = (id: unknown): boolean => id === null || typeof id === 'string' || typeof id === 'number';

/** How a run ends whose agent asks and does not read. */
export const answersUnread = (): WakeEvent => ({
  type: 'failed',
  phase: 'agent',
  message: `The agent asked more than ${String(UNANSWERED_MAX)} questions, or ${String(UNANSWERED_CHARACTERS_MAX)} characters of them, and did not read the answers within ${String(ANSWER_READ_WITHIN_MS)} ms; it is not heard any more. It must read its standard input while it asks.`,
  retryable: true,
  details: { cause: 'answers_unread', questionsMax: UNANSWERED_MAX, charactersMax: UNANSWERED_CHARACTERS_MAX },
});
