/** `POST /v1/responses`, the API of OpenAI. */
import {
  CALL_USAGE,
  endOf,
  listOf,
  namesIn,
  objectOf,
  textOf,
  type Failure,
  type ModelApi,
  type Reply,
  type ModelObject,
  type ServiceFailure,
  type Turn,
} from './model-api.ts';
import { openaiFailure } from './openai-failure.ts';

const USAGE = {
  input_tokens: CALL_USAGE.input,
  input_tokens_details: { cached_tokens: CALL_USAGE.cached },
  output_tokens: CALL_USAGE.output,
  output_tokens_details: { reasoning_tokens: CALL_USAGE.thinking },
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
  whole: (reply) => responseOf(reply),
  stream(reply) {
    const items = itemsOf(reply).flatMap((item) => [
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', ...emptied(reply) } },
      { ...pieceOf(reply, item), item_id: item['id'], output_index: 0 },
      { type: 'response.output_item.done', output_index: 0, item },
    ]);
    const response = responseOf(reply);
    const events: readonly ModelObject[] = [
      { type: 'response.created', response: begun(reply) },
      ...items,
      { type: `response.${String(response['status'])}`, response },
    ];
    return events.map((data, index) => ({ name: String(data['type']), data: { ...data, sequence_number: index } }));
  },
  failure,
};

const begun = ({ id, model }: Reply) => ({ id: `resp_${id}`, object: 'response', created_at: 1, model, status: 'in_progress', output: [] });

/** A refusal written by the model ends like any answer. */
const INCOMPLETE: Readonly<Record<string, string>> = { truncated: 'max_output_tokens', filtered: 'content_filter' };

function responseOf(reply: Reply): ModelObject {
  const reason = INCOMPLETE[endOf(reply.answer) ?? ''];
  const status = reason === undefined ? { status: 'completed' } : { status: 'incomplete', incomplete_details: { reason } };
  return { ...begun(reply), ...status, output: itemsOf(reply), usage: USAGE };
}

const emptied = ({ answer }: Reply): ModelObject => ('call' in answer ? { arguments: '' } : { content: [] });

function pieceOf({ answer }: Reply, item: ModelObject): ModelObject {
  if ('call' in answer) return { type: 'response.function_call_arguments.done', arguments: item['arguments'] };
  const type = answer.end === 'refused' ? 'response.refusal.delta' : 'response.output_text.delta';
  return { type, content_index: 0, delta: answer.text };
}

/** None for an empty answer. */
function itemsOf({ id, answer }: Reply): readonly ModelObject[] {
  if ('call' in answer) {
    const { name, args } = answer.call;
    return [{ type: 'function_call', id: `fc_${id}`, call_id: `call_${id}`, name, arguments: JSON.stringify(args), status: 'completed' }];
  }
  if (answer.text === '') return [];
  const part =
    answer.end === 'refused' ? { type: 'refusal', refusal: answer.text } : { type: 'output_text', text: answer.text, annotations: [] };
  return [{ type: 'message', id: `msg_${id}`, role: 'assistant', status: 'completed', content: [part] }];
}

/** Failures found once the stream has begun, reported in it. */
const IN_STREAM: Readonly<Partial<Record<ServiceFailure, string>>> = {
  credit: 'You exceeded your current quota, please check your plan and billing details.',
  context: 'Your input exceeds the context window of this model. Please adjust your input and try again.',
};

function failure(what: ServiceFailure | number, model: string): Failure {
  const failed = openaiFailure(what, model);
  const message = typeof what === 'number' ? undefined : IN_STREAM[what];
  if (message === undefined) return failed;
  const error = { ...objectOf(failed.body['error']), message };
  const response = { id: 'resp_failed', object: 'response', created_at: 1, model, status: 'failed', output: [], error };
  return {
    ...failed,
    body: { error },
    event: { name: 'response.failed', data: { type: 'response.failed', sequence_number: 0, response } },
  };
}
