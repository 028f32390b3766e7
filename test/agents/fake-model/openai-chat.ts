/** `POST /v1/chat/completions`, as OpenAI and many others speak it. */
import { CALL_USAGE, listOf, namesIn, objectOf, textOf, type ModelApi, type Reply, type Said, type StreamEvent } from './model-api.ts';

const USAGE = {
  prompt_tokens: CALL_USAGE.input,
  completion_tokens: CALL_USAGE.output,
  total_tokens: CALL_USAGE.input + CALL_USAGE.output,
  prompt_tokens_details: { cached_tokens: CALL_USAGE.cached },
};

export const openaiChat: ModelApi = {
  name: 'chat',
  isCall: (path) => path.endsWith('/chat/completions'),
  turns: (body) =>
    listOf(body['messages']).map(({ role, content }) => ({
      role: role === 'tool' || role === 'assistant' ? role : 'user',
      text: textOf(content),
    })),
  tools: (body) => namesIn(listOf(body['tools']).map((tool) => objectOf(tool['function']))),
  isStreamed: (_path, body) => body['stream'] === true,
  whole: (reply) => ({
    ...headOf(reply),
    object: 'chat.completion',
    choices: [{ index: 0, finish_reason: reasonOf(reply), message: { role: 'assistant', content: null, ...saidOf(reply) } }],
    usage: USAGE,
  }),
  stream(reply) {
    const chunk = (choices: readonly Said[], more: Said = {}): StreamEvent => ({
      data: { ...headOf(reply), object: 'chat.completion.chunk', choices, ...more },
    });
    const delta = (said: Said, reason: string | null = null): StreamEvent => chunk([{ index: 0, delta: said, finish_reason: reason }]);
    return [
      delta({ role: 'assistant', content: '' }),
      delta(saidOf(reply)),
      delta({}, reasonOf(reply)),
      chunk([], { usage: USAGE }),
      { data: '[DONE]' },
    ];
  },
  error: openaiError,
};

const headOf = ({ id, model }: Reply) => ({ id: `chatcmpl-${id}`, created: 1, model });
const reasonOf = ({ answer }: Reply): string => ('call' in answer ? 'tool_calls' : 'stop');

function saidOf({ id, answer }: Reply): Said {
  if (!('call' in answer)) return { content: answer.text };
  const { name, args } = answer.call;
  return { tool_calls: [{ index: 0, id: `call_${id}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }] };
}

const CODES: Readonly<Record<number, string>> = { 401: 'invalid_api_key', 429: 'rate_limit_exceeded' };

export function openaiError(status: number, message: string): Said {
  const type = status === 429 ? 'rate_limit_exceeded' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type, code: CODES[status] ?? null, param: null } };
}
