/** `POST …/models/MODEL:generateContent` and `:streamGenerateContent`, the API of Google. */
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

export const geminiContent: ModelApi = {
  name: 'gemini',
  isCall: (path) => /:(streamG|g)enerateContent$/.test(path),
  turns: (body) =>
    listOf(body['contents']).flatMap(({ role, parts }) =>
      listOf(parts).map((part): Turn => {
        if (part['functionResponse'] !== undefined) {
          return { role: 'tool', text: JSON.stringify(objectOf(part['functionResponse'])['response']) };
        }
        return { role: role === 'model' ? 'assistant' : 'user', text: textOf(part['text']) };
      }),
    ),
  tools: (body) => namesIn(listOf(body['tools']).flatMap((tool) => listOf(tool['functionDeclarations']))),
  isStreamed: (path) => path.endsWith(':streamGenerateContent'),
  whole: (reply) => contentOf(reply),
  stream: (reply) => [{ data: contentOf(reply) }],
  failure,
};

/** Its thoughts are separate from what it said. */
const USAGE = {
  promptTokenCount: CALL_USAGE.input,
  cachedContentTokenCount: CALL_USAGE.cached,
  candidatesTokenCount: CALL_USAGE.output - CALL_USAGE.thinking,
  thoughtsTokenCount: CALL_USAGE.thinking,
  totalTokenCount: CALL_USAGE.input + CALL_USAGE.output,
};

function contentOf(reply: Reply): ModelObject {
  const head = { usageMetadata: USAGE, modelVersion: reply.model, responseId: reply.id };
  const end = endOf(reply.answer);
  if (end === 'filtered') return { ...head, promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } };
  if (end === 'refused') return { ...head, candidates: [{ index: 0, finishReason: 'SAFETY' }] };
  const finishReason = end === 'truncated' ? 'MAX_TOKENS' : 'STOP';
  return { ...head, candidates: [{ index: 0, content: { role: 'model', ...partsOf(reply) }, finishReason }] };
}

/** None for an empty answer. */
function partsOf({ id, answer }: Reply): ModelObject {
  if ('call' in answer) return { parts: [{ functionCall: { id: `call_${id}`, name: answer.call.name, args: answer.call.args } }] };
  return answer.text === '' ? {} : { parts: [{ text: answer.text }] };
}

type Words = readonly [status: string, message: string, details?: readonly ModelObject[]];

const STATUSES: Readonly<Record<number, Words>> = {
  400: ['INVALID_ARGUMENT', 'Invalid value at \'contents[0].parts[0]\' (oneof), oneof field "data" is already set.'],
  401: ['UNAUTHENTICATED', 'Request had invalid authentication credentials.'],
  402: ['FAILED_PRECONDITION', 'Payment is required.'],
  403: ['PERMISSION_DENIED', 'Generative Language API has not been used in project 42 before or it is disabled.'],
  413: ['INVALID_ARGUMENT', 'Request payload size exceeds the limit: 20971520 bytes.'],
  422: ['INVALID_ARGUMENT', 'The request cannot be processed.'],
  429: ['RESOURCE_EXHAUSTED', 'Resource has been exhausted (e.g. check quota).'],
  500: ['INTERNAL', 'An internal error has occurred. Please retry.'],
  503: ['UNAVAILABLE', 'The model is overloaded. Please try again later.'],
  529: ['UNAVAILABLE', 'The service is overloaded. Please try again later.'],
};

const INVALID_KEY = {
  '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
  reason: 'API_KEY_INVALID',
  domain: 'googleapis.com',
  metadata: { service: 'generativelanguage.googleapis.com' },
};

const FAILURES: Readonly<Record<ServiceFailure, (model: string) => readonly [code: number, words: Words]>> = {
  credit: () => [
    429,
    [
      'RESOURCE_EXHAUSTED',
      'Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing.',
    ],
  ],
  'bad-key': () => [400, ['INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.', [INVALID_KEY]]],
  'no-model': (model) => [
    404,
    [
      'NOT_FOUND',
      `models/${model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.`,
    ],
  ],
  context: () => [400, ['INVALID_ARGUMENT', 'The input token count (1210042) exceeds the maximum number of tokens allowed (1048576).']],
};

function failure(what: ServiceFailure | number, model: string): Failure {
  const [code, [status, message, details]] =
    typeof what === 'number' ? ([what, STATUSES[what] ?? ['UNKNOWN', 'something is wrong']] as const) : FAILURES[what](model);
  return { status: code, body: { error: { code, message, status, ...(details === undefined ? {} : { details }) } } };
}
