/** `POST /v1/chat/completions`, the API of OpenAI and many others. */
import {
  CALL_USAGE,
  endOf,
  listOf,
  namesIn,
  objectOf,
  textOf,
  type ModelApi,
  type Reply,
  type ModelObject,
  type StreamEvent,
} from './model-api.ts';
import { openaiFailure } from './openai-failure.ts';

const USAGE = {
  prompt_tokens: CALL_USAGE.input,
  completion_tokens: CALL_USAGE.output,
  total_tokens: CALL_USAGE.input + CALL_USAGE.output,
  prompt_tokens_details: { cached_tokens: CALL_USAGE.cached },
  completion_tokens_details: { reasoning_tokens: CALL_USAGE.thinking },
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
    const chunk = (choices: readonly ModelObject[], more: ModelObject = {}): StreamEvent => ({
      data: { ...headOf(reply), object: 'chat.completion.chunk', choices, ...more },
    });
    const delta = (reported: ModelObject, reason: string | null = null): StreamEvent =>
      chunk([{ index: 0, delta: reported, finish_reason: reason }]);
    return [
      delta({ role: 'assistant', content: '' }),
      delta(saidOf(reply)),
      delta({}, reasonOf(reply)),
      chunk([], { usage: USAGE }),
      { data: '[DONE]' },
    ];
  },
  failure: (what, model) => openaiFailure(what, model),
};

const headOf = ({ id, model }: Reply) => ({ id: `chatcmpl-${id}`, created: 1, model });

/** A refusal written by the model ends like any answer. */
function reasonOf({ answer }: Reply): string {
  if ('call' in answer) return 'tool_calls';
  const end = endOf(answer);
  if (end === 'truncated') return 'length';
  return end === 'filtered' ? 'content_filter' : 'stop';
}

function saidOf({ id, answer }: Reply): ModelObject {
  if (!('call' in answer)) return answer.end === 'refused' ? { refusal: answer.text } : { content: answer.text };
  const { name, args } = answer.call;
  return { tool_calls: [{ index: 0, id: `call_${id}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }] };
}
