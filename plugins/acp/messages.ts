/** Classifies the messages of a conversation: a response does not name its method, so the requests are remembered. */
import { objectOf, textOf, type JsonObject } from '../plugin.ts';

interface SentRequest {
  readonly method: string;
  readonly sessionId: string | null;
}

export interface MessageReader {
  /** Call with each message to the agent, in order. */
  sent(message: JsonObject): void;
  /**
   * Classifies a message of the agent, for `acpDialect`:
   *
   * - `{ kind: 'answer', method, sessionId, result }`, `{ kind: 'error', method, error }`: responses to our requests;
   * - `{ kind: 'update', update }`: a session update;
   * - `{ kind: 'permission', params }`: a request to use a tool;
   * - `{ kind: 'other', method }`: anything else, including the replay of a session's history.
   */
  received(message: JsonObject): JsonObject;
}

export function messageReader(): MessageReader {
  const requests = new Map<unknown, SentRequest>();
  let isPrompted = false;

  const answered = (message: JsonObject): JsonObject => {
    const request = requests.get(message['id']);
    requests.delete(message['id']);
    const method = request?.method ?? null;
    if (message['error'] !== undefined) return { kind: 'error', method, error: message['error'] };
    const sessionId = textOf(objectOf(message['result'])['sessionId']) ?? request?.sessionId ?? null;
    return { kind: 'answer', method, sessionId, result: message['result'] };
  };
  return {
    sent(message) {
      const method = textOf(message['method']);
      if (method === null || message['id'] === undefined) return;
      requests.set(message['id'], { method, sessionId: textOf(objectOf(message['params'])['sessionId']) });
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
