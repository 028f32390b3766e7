/** `POST /v1/messages`, the API of Anthropic. */
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
  whole: (reply) => ({ ...messageOf(reply), content: blocksOf(reply), stop_reason: stopOf(reply), usage: USAGE }),
  stream(reply) {
    const blocks = blocksOf(reply).flatMap((block) => {
      const isCall = block['type'] === 'tool_use';
      const delta = isCall
        ? { type: 'input_json_delta', partial_json: JSON.stringify(objectOf(block['input'])) }
        : { type: 'text_delta', text: block['text'] };
      return [
        { type: 'content_block_start', index: 0, content_block: isCall ? { ...block, input: {} } : { ...block, text: '' } },
        { type: 'content_block_delta', index: 0, delta },
        { type: 'content_block_stop', index: 0 },
      ];
    });
    const events = [
      { type: 'message_start', message: { ...messageOf(reply), content: [], stop_reason: null, usage: { ...USAGE, output_tokens: 1 } } },
      ...blocks,
      {
        type: 'message_delta',
        delta: { stop_reason: stopOf(reply), stop_sequence: null },
        usage: { output_tokens: CALL_USAGE.output },
      },
      { type: 'message_stop' },
    ];
    return events.map((data) => ({ name: data.type, data }));
  },
  failure,
};

const messageOf = ({ id, model }: Reply) => ({ id: `msg_${id}`, type: 'message', role: 'assistant', model, stop_sequence: null });

function stopOf({ answer }: Reply): string {
  if ('call' in answer) return 'tool_use';
  const end = endOf(answer);
  if (end === 'truncated') return 'max_tokens';
  return end === undefined ? 'end_turn' : 'refusal';
}

/** None for an empty answer. */
function blocksOf({ id, answer }: Reply): readonly ModelObject[] {
  if ('call' in answer) return [{ type: 'tool_use', id: `toolu_${id}`, name: answer.call.name, input: answer.call.args }];
  return answer.text === '' ? [] : [{ type: 'text', text: answer.text }];
}

type Words = readonly [type: string, message: string];

const STATUSES: Readonly<Record<number, Words>> = {
  400: ['invalid_request_error', 'messages.0.content: Input should be a valid list'],
  401: ['authentication_error', 'invalid x-api-key'],
  402: ['billing_error', "There's an issue with your billing or payment information. Please check your payment details."],
  403: ['permission_error', 'Your API key does not have permission to use the specified resource.'],
  413: ['request_too_large', 'Request exceeds the maximum allowed number of bytes.'],
  422: ['invalid_request_error', 'The request was well-formed but could not be processed.'],
  429: ['rate_limit_error', 'This request would exceed the rate limit for your organization of 50 requests per minute.'],
  500: ['api_error', 'Internal server error'],
  503: ['api_error', 'Service temporarily unavailable'],
  529: ['overloaded_error', 'Overloaded'],
};

const CREDIT = 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.';

const FAILURES: Readonly<Record<ServiceFailure, (model: string) => readonly [status: number, words: Words]>> = {
  credit: () => [400, ['invalid_request_error', CREDIT]],
  'bad-key': () => [401, ['authentication_error', 'invalid x-api-key']],
  'no-model': (model) => [404, ['not_found_error', `model: ${model}`]],
  context: () => [400, ['invalid_request_error', 'prompt is too long: 210042 tokens > 200000 maximum']],
};

function failure(what: ServiceFailure | number, model: string): Failure {
  const [status, [type, message]] =
    typeof what === 'number' ? ([what, STATUSES[what] ?? ['api_error', 'something is wrong']] as const) : FAILURES[what](model);
  return { status, body: { type: 'error', error: { type, message }, request_id: 'req_made_up' } };
}
