/** Classifies the messages of a conversation: only the request tells what an answer is about. */
import { objectOf, textOf, type JsonObject } from '../plugin.ts';

interface Question {
  readonly method: string;
  readonly sessionId: string | null;
}

export interface MessageReader {
  /** Call it with each message to the agent, in order. */
  sent(message: JsonObject): void;
  /**
   * Classifies a message of the agent, for `acpDialect`:
   *
   * - `{ kind: 'answer', to, sessionId, result }`, `{ kind: 'refusal', to, error }`: answers to our requests;
   * - `{ kind: 'update', update }`: a session update;
   * - `{ kind: 'permission', params }`: a request to use a tool;
   * - `{ kind: 'other', method }`: anything else, including the replay of a session's history.
   */
  received(message: JsonObject): JsonObject;
}

export function messageReader(): MessageReader {
  const questions = new Map<unknown, Question>();
  let isPrompted = false;

  const answered = (message: JsonObject): JsonObject => {
    const question = questions.get(message['id']);
    questions.delete(message['id']);
    const to = question?.method ?? null;
    if (message['error'] !== undefined) return { kind: 'refusal', to, error: message['error'] };
    const sessionId = textOf(objectOf(message['result'])['sessionId']) ?? question?.sessionId ?? null;
    return { kind: 'answer', to, sessionId, result: message['result'] };
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
      // Anything before the prompt is the history of a resumed session.
      if (method === 'session/update' && isPrompted) return { kind: 'update', update: objectOf(params['update']) };
      if (method === 'session/request_permission') return { kind: 'permission', params };
      return { kind: 'other', method };
    },
  };
}
