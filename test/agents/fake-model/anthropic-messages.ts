/** `POST /v1/messages`, as Anthropic speaks it. */
import { CALL_USAGE, listOf, namesIn, objectOf, textOf, type ModelApi, type Reply, type Turn } from './model-api.ts';

const KINDS: Readonly<Record<number, string>> = { 401: 'authentication_error', 429: 'rate_limit_error', 500: 'api_error' };

const USAGE = {
  input_tokens: CALL_USAGE.input - CALL_USAGE.cached,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: CALL_USAGE.cached,
  output_tokens: CALL_USAGE.output,
};

export const anthropicMessages: ModelApi = {
  name: 'anthropic',
  isCall: (path) => path.endsWith('/messages'),
  turns: (body) =>
    listOf(body['messages']).flatMap(({ role, content }): Turn[] => {
      const by = role === 'assistant' ? 'assistant' : 'user';
      if (typeof content === 'string') return [{ role: by, text: content }];
      return listOf(content).map((part) =>
        part['type'] === 'tool_result' ? { role: 'tool', text: textOf(part['content']) } : { role: by, text: textOf([part]) },
      );
    }),
  tools: (body) => namesIn(listOf(body['tools'])),
  isStreamed: (_path, body) => body['stream'] === true,
  whole: (reply) => ({ ...messageOf(reply), content: [blockOf(reply)], stop_reason: stopOf(reply), usage: USAGE }),
  stream(reply) {
    const block = blockOf(reply);
    const isCall = 'call' in reply.answer;
    const delta = isCall
      ? { type: 'input_json_delta', partial_json: JSON.stringify(objectOf(block['input'])) }
      : { type: 'text_delta', text: block['text'] };
    const events = [
      { type: 'message_start', message: { ...messageOf(reply), content: [], stop_reason: null, usage: { ...USAGE, output_tokens: 1 } } },
      { type: 'content_block_start', index: 0, content_block: isCall ? { ...block, input: {} } : { ...block, text: '' } },
      { type: 'content_block_delta', index: 0, delta },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: stopOf(reply), stop_sequence: null },
        usage: { output_tokens: CALL_USAGE.output },
      },
      { type: 'message_stop' },
    ];
    return events.map((data) => ({ name: data.type, data }));
  },
  error: (status, message) => ({ type: 'error', error: { type: KINDS[status] ?? 'invalid_request_error', message } }),
};

const messageOf = ({ id, model }: Reply) => ({ id: `msg_${id}`, type: 'message', role: 'assistant', model, stop_sequence: null });
const stopOf = ({ answer }: Reply): string => ('call' in answer ? 'tool_use' : 'end_turn');
const blockOf = ({ id, answer }: Reply): Readonly<Record<string, unknown>> =>
  'call' in answer
    ? { type: 'tool_use', id: `toolu_${id}`, name: answer.call.name, input: answer.call.args }
    : { type: 'text', text: answer.text };
