/** Tells the messages of a conversation apart: what an answer answers stands in the question only. */
import { objectOf, textOf, type SaidObject } from '../plugin.ts';

interface Question {
  readonly method: string;
  readonly sessionId: string | null;
}

export interface MessageReader {
  /** To be told of each message to the agent, in order. */
  sent(message: SaidObject): void;
  /**
   * What a message of the agent is, for `acpDialect`:
   *
   * - `{ said: 'answer', to, sessionId, result }`, `{ said: 'refusal', to, error }`: to a request of ours;
   * - `{ said: 'update', update }`: news of the session;
   * - `{ said: 'permission', params }`: it asks whether it may use a tool;
   * - `{ said: 'other', method }`: anything else, the replay of a session's history too.
   */
  received(message: SaidObject): SaidObject;
}

export function messageReader(): MessageReader {
  const questions = new Map<unknown, Question>();
  let isPrompted = false;

  const answered = (message: SaidObject): SaidObject => {
    const question = questions.get(message['id']);
    questions.delete(message['id']);
    const to = question?.method ?? null;
    if (message['error'] !== undefined) return { said: 'refusal', to, error: message['error'] };
    const sessionId = textOf(objectOf(message['result'])['sessionId']) ?? question?.sessionId ?? null;
    return { said: 'answer', to, sessionId, result: message['result'] };
  };
  return {
    sent(message) {
      const method = textOf(message['method']);
      if (method === null || message['id'] === undefined) return;
      questions.set(message['id'], { method, sessionId: textOf(objectOf(message['params'])['sessionId']) });
      isPrompted ||= method === 'session/prompt';
    },
    received(message) {
      const method = textOf(message['method']);
      if (method === null) return answered(message);
      const params = objectOf(message['params']);
      // What comes before the prompt is the history of a session that is gone on with.
      if (method === 'session/update' && isPrompted) return { said: 'update', update: objectOf(params['update']) };
      if (method === 'session/request_permission') return { said: 'permission', params };
      return { said: 'other', method };
    },
  };
}
