/** `POST /v1/responses`, as OpenAI speaks it. */
import { CALL_USAGE, listOf, namesIn, textOf, type ModelApi, type Reply, type Said, type Turn } from './model-api.ts';
import { openaiError } from './openai-chat.ts';

const USAGE = {
  input_tokens: CALL_USAGE.input,
  input_tokens_details: { cached_tokens: CALL_USAGE.cached },
  output_tokens: CALL_USAGE.output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: CALL_USAGE.input + CALL_USAGE.output,
};

export const openaiResponses: ModelApi = {
  name: 'responses',
  isCall: (path) => path.endsWith('/responses'),
  turns(body) {
    if (typeof body['input'] === 'string') return [{ role: 'user', text: body['input'] }];
    return listOf(body['input']).flatMap((item): Turn[] => {
      if (String(item['type']).endsWith('_call_output')) return [{ role: 'tool', text: textOf(item['output']) }];
      if (item['type'] !== undefined && item['type'] !== 'message') return [];
      return [{ role: item['role'] === 'assistant' ? 'assistant' : 'user', text: textOf(item['content']) }];
    });
  },
  tools: (body) => namesIn(listOf(body['tools'])),
  isStreamed: (_path, body) => body['stream'] === true,
  whole: (reply) => completed(reply),
  stream(reply) {
    const item = itemOf(reply);
    const parts: readonly Said[] =
      'call' in reply.answer
        ? [{ type: 'response.function_call_arguments.done', item_id: item['id'], output_index: 0, arguments: item['arguments'] }]
        : [{ type: 'response.output_text.delta', item_id: item['id'], output_index: 0, content_index: 0, delta: reply.answer.text }];
    const events: readonly Said[] = [
      { type: 'response.created', response: begun(reply) },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', ...emptied(reply) } },
      ...parts,
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response: completed(reply) },
    ];
    return events.map((data, index) => ({ name: String(data['type']), data: { ...data, sequence_number: index } }));
  },
  error: openaiError,
};

const begun = ({ id, model }: Reply) => ({ id: `resp_${id}`, object: 'response', created_at: 1, model, status: 'in_progress', output: [] });
const completed = (reply: Reply): Said => ({ ...begun(reply), status: 'completed', output: [itemOf(reply)], usage: USAGE });
const emptied = ({ answer }: Reply): Said => ('call' in answer ? { arguments: '' } : { content: [] });

function itemOf({ id, answer }: Reply): Said {
  if ('call' in answer) {
    const { name, args } = answer.call;
    return { type: 'function_call', id: `fc_${id}`, call_id: `call_${id}`, name, arguments: JSON.stringify(args), status: 'completed' };
  }
  const content = [{ type: 'output_text', text: answer.text, annotations: [] }];
  return { type: 'message', id: `msg_${id}`, role: 'assistant', status: 'completed', content };
}
