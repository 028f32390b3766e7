/** How OpenAI's service reports a failure, in both of its APIs. */
import type { Failure, ServiceFailure } from './model-api.ts';

type Words = readonly [type: string, code: string | null, message: string];

const STATUSES: Readonly<Record<number, Words>> = {
  400: ['invalid_request_error', null, "Invalid type for 'messages': expected an array of objects."],
  401: [
    'invalid_request_error',
    'invalid_api_key',
    'Incorrect API key provided: sk-made-up. You can find your API key at your account page.',
  ],
  402: ['insufficient_credits', null, 'This account has no funds for this request.'],
  403: ['request_forbidden', 'unsupported_country_region_territory', 'Country, region, or territory not supported'],
  413: ['invalid_request_error', null, 'Request body is larger than the maximum of 26214400 bytes.'],
  422: ['invalid_request_error', null, 'The request was well-formed but could not be processed.'],
  429: [
    'requests',
    'rate_limit_exceeded',
    'Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 1s.',
  ],
  500: ['server_error', null, 'The server had an error while processing your request. Sorry about that!'],
  503: ['server_error', null, 'The engine is currently overloaded, please try again later.'],
  529: ['server_error', null, 'The service is at capacity, please try again later.'],
};

const QUOTA = 'You exceeded your current quota, please check your plan and billing details. For more information read the docs.';
const CONTEXT =
  "This model's maximum context length is 128000 tokens. However, your messages resulted in 210042 tokens. Please reduce the length of the messages.";

const FAILURES: Readonly<Record<ServiceFailure, (model: string) => readonly [status: number, words: Words]>> = {
  credit: () => [429, ['insufficient_quota', 'insufficient_quota', QUOTA]],
  'bad-key': () => [401, STATUSES[401] as Words],
  'no-model': (model) => [
    404,
    ['invalid_request_error', 'model_not_found', `The model \`${model}\` does not exist or you do not have access to it.`],
  ],
  context: () => [400, ['invalid_request_error', 'context_length_exceeded', CONTEXT]],
};

export function openaiFailure(what: ServiceFailure | number, model: string): Failure {
  const [status, [type, code, message]] =
    typeof what === 'number' ? ([what, STATUSES[what] ?? ['server_error', null, 'something is wrong']] as const) : FAILURES[what](model);
  return { status, body: { error: { message, type, code, param: null } } };
}
