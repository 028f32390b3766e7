/** Bad input for a running hub, row by row: what is sent, the complete answer, and the one line that is logged. */
import { gzipSync } from 'node:zlib';
import { any, known } from '../version1/frame-template.ts';

type Template = Readonly<Record<string, unknown>>;

/** A task that another agent is running, and the agent that sends the frame. */
const HELD = known('held');
const UNKNOWN_TASK = 'task-00000000000000ff';
const error = (word: string, more: Template = {}): Template => ({ type: 'error', error: word, ...more });
const notValid = (kind: string, more: Template = {}): Template => ({ msg: 'a frame is not valid', level: 'warn', kind, ...more });
const nack = (refuses: string, task: unknown, generation: number, reason: string, more: Template = {}): Template => ({
  type: 'task_nack',
  task_id: task,
  generation,
  reason,
  refuses,
  ...more,
});
const refused = (report: string, reason: string): Template => ({ msg: 'a report was refused', level: 'warn', report, reason });

export interface BadFrame {
  /** An agent that has nothing to do with the task, or the one that runs it. */
  readonly from: 'wrong' | 'holder';
  readonly given: Template | string;
  readonly wanted: Template;
  readonly logged: Template;
}

const deep = `{"type":"status","status":${'['.repeat(40)}${']'.repeat(40)}}`;

export const BAD_FRAMES: readonly BadFrame[] = [
  { from: 'wrong', given: '{"type":', wanted: error('invalid_json'), logged: notValid('invalid_json', { agent_id: 'wrong' }) },
  {
    from: 'holder',
    given: deep,
    wanted: error('validation_failed', {
      message_type: 'status',
      errors: [{ field: '', error: 'depth', detail: 'must not be nested more than 32 deep' }],
    }),
    logged: notValid('validation_failed', { agent_id: 'holder', message_type: 'status', fields: [''] }),
  },
  {
    from: 'wrong',
    given: { type: 'x'.repeat(500) },
    wanted: error('unknown_message_type'),
    logged: notValid('unknown_message_type', { agent_id: 'wrong', message_type: 'x'.repeat(64) }),
  },
  {
    from: 'wrong',
    given: { type: 'task_paused', task_id: HELD, generation: 1 },
    wanted: nack('task_paused', HELD, 1, 'validation_failed'),
    logged: notValid('unknown_message_type', { agent_id: 'wrong', message_type: 'task_paused' }),
  },
  {
    from: 'wrong',
    given: { type: 'status', status: 5 },
    wanted: error('validation_failed', {
      message_type: 'status',
      errors: [{ field: 'status', error: 'type', detail: 'must be a string, found 5' }],
    }),
    logged: notValid('validation_failed', { agent_id: 'wrong', message_type: 'status', fields: ['status'] }),
  },
  {
    from: 'wrong',
    given: { type: 'task_complete', task_id: HELD, generation: '1', result: 'stolen' },
    wanted: error('validation_failed', {
      message_type: 'task_complete',
      errors: [{ field: 'generation', error: 'type', detail: 'must be a whole number from 0 to 1000000000000, found "1"' }],
    }),
    logged: notValid('validation_failed', { agent_id: 'wrong', message_type: 'task_complete', fields: ['generation'] }),
  },
  {
    from: 'holder',
    given: { type: 'task_progress', task_id: HELD, generation: 1, percent: 'half' },
    wanted: nack('task_progress', HELD, 1, 'validation_failed'),
    logged: notValid('validation_failed', { agent_id: 'holder', message_type: 'task_progress', fields: ['percent'] }),
  },
  {
    from: 'wrong',
    given: { type: 'identify', agent_id: 'wrong', token: 'again', protocol_version: 2 },
    wanted: error('validation_failed', {
      message_type: 'identify',
      errors: [{ field: 'type', error: 'repeated', detail: 'this connection is already identified' }],
    }),
    logged: notValid('validation_failed', { agent_id: 'wrong', message_type: 'identify', fields: ['type'] }),
  },
  {
    from: 'holder',
    given: { type: 'task_complete', task_id: HELD, generation: 0, result: 'of a run long ago' },
    wanted: nack('task_complete', HELD, 0, 'stale_generation', { current_generation: 1 }),
    logged: refused('complete', 'stale_generation'),
  },
  {
    from: 'wrong',
    given: { type: 'task_complete', task_id: HELD, generation: 1, result: 'stolen' },
    wanted: nack('task_complete', HELD, 1, 'not_assignee', { current_generation: 1 }),
    logged: refused('complete', 'not_assignee'),
  },
  {
    from: 'holder',
    given: { type: 'task_failed', task_id: HELD, generation: 1, error: 'not mine', agent_id: 'wrong' },
    wanted: nack('task_failed', HELD, 1, 'not_assignee', { current_generation: 1 }),
    logged: refused('failed', 'not_assignee'),
  },
  {
    from: 'wrong',
    given: { type: 'task_failed', task_id: UNKNOWN_TASK, generation: 1, error: 'what task?' },
    wanted: nack('task_failed', UNKNOWN_TASK, 1, 'unknown_task'),
    logged: refused('failed', 'unknown_task'),
  },
];

/** Before identify, each from its own address and socket. `closed`: the code that follows. */
export const BAD_STARTS: readonly {
  readonly name: string;
  readonly given: readonly (Template | string)[];
  readonly wanted: readonly Template[];
  readonly closed?: number;
  readonly logged: Template;
}[] = [
  {
    name: 'a frame before identify',
    given: [{ type: 'ping' }],
    wanted: [error('not_identified')],
    logged: notValid('not_identified', { address: known('address') }),
  },
  {
    name: 'an unknown token',
    given: [{ type: 'identify', agent_id: known('agent'), token: 'a guess' }],
    wanted: [error('invalid_token')],
    logged: { msg: 'an identify was refused', level: 'warn', error: 'invalid_token', token: 'invalid', address: known('address') },
  },
  {
    name: 'a token of another agent',
    given: [{ type: 'identify', agent_id: 'holder', token: known('token') }],
    wanted: [error('token_agent_mismatch')],
    logged: { msg: 'an identify was refused', level: 'warn', error: 'token_agent_mismatch', address: known('address') },
  },
  {
    name: 'over 64 KiB before identify',
    given: [{ type: 'identify', agent_id: known('agent'), token: known('token'), name: 'é'.repeat(33_000) }],
    wanted: [],
    closed: 1009,
    logged: { msg: 'a connection was closed', code: 1009, because: 'too many bytes before identify' },
  },
  {
    name: 'ten invalid frames within a minute',
    given: Array.from({ length: 10 }, () => 'no frame'),
    wanted: Array.from({ length: 10 }, () => error('invalid_json')),
    closed: 1008,
    logged: { msg: 'a connection was closed', code: 1008, because: 'too many invalid frames', agent_id: null, address: known('address') },
  },
  {
    name: 'no identify within its time',
    given: [],
    wanted: [],
    closed: 1008,
    logged: { msg: 'a connection was closed', code: 1008, because: 'identify within the time', address: known('address') },
  },
];

export interface BadRequest {
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly status: number;
  readonly wanted: Template;
  readonly logged: Template;
}

const json = { 'content-type': 'application/json' };
const aMessage = any('a sentence', (value) => typeof value === 'string' && /^[A-Z].{10,}\.$/.test(value));
const requestRefused = (method: string, path: string | null, status: number, word: string): Template => ({
  msg: 'A request was refused.',
  level: 'warn',
  method,
  path,
  status,
  error: word,
});

export const BAD_REQUESTS: readonly BadRequest[] = [
  {
    name: 'a body over 256 KiB',
    method: 'POST',
    path: '/api/tasks',
    headers: json,
    body: JSON.stringify({ description: 'x', metadata: { text: 'x'.repeat(262_144) } }),
    status: 413,
    wanted: {
      error: 'body_too_large',
      message:
        'The body exceeds 262144 bytes. Put large input where the agent can fetch it and mention it in the description, or raise hub.limits.submitBytes (bulk: bulkBytes).',
    },
    logged: requestRefused('POST', '/api/tasks', 413, 'body_too_large'),
  },
  {
    name: 'an unknown status filter',
    method: 'GET',
    path: '/api/tasks?status=sleeping',
    status: 400,
    wanted: {
      error: 'validation_failed',
      message: aMessage,
      details: [
        {
          field: 'status',
          error: 'enum',
          detail: any('the allowed values', (value) => String(value).includes('one of scheduled, blocked')),
        },
      ],
    },
    logged: requestRefused('GET', '/api/tasks', 400, 'validation_failed'),
  },
  {
    name: 'a compressed body',
    method: 'POST',
    path: '/api/tasks',
    headers: { ...json, 'content-encoding': 'gzip' },
    body: gzipSync('{"description":"small"}'),
    status: 415,
    wanted: { error: 'unsupported_media_type', message: 'The body is compressed; send it uncompressed, without Content-Encoding.' },
    logged: requestRefused('POST', '/api/tasks', 415, 'unsupported_media_type'),
  },
  {
    name: 'a body that is not JSON',
    method: 'POST',
    path: '/api/tasks',
    headers: json,
    body: '{"description":',
    status: 400,
    wanted: { error: 'invalid_json', message: 'The body is not JSON.' },
    logged: requestRefused('POST', '/api/tasks', 400, 'invalid_json'),
  },
  {
    name: 'a foreign Host',
    method: 'GET',
    path: '/api/tasks',
    headers: { host: 'rebound.example.org' },
    status: 403,
    wanted: {
      error: 'forbidden_origin',
      message: 'The Host or Origin of the request is not a name of this hub; add it to hub.listen.names (a web page: hub.listen.origins).',
    },
    logged: requestRefused('GET', null, 403, 'forbidden_origin'),
  },
  {
    name: 'a foreign Origin',
    method: 'POST',
    path: '/api/tasks',
    headers: { ...json, origin: 'https://example.org' },
    body: '{"description":"from a web page"}',
    status: 403,
    wanted: {
      error: 'forbidden_origin',
      message: 'The Host or Origin of the request is not a name of this hub; add it to hub.listen.names (a web page: hub.listen.origins).',
    },
    logged: requestRefused('POST', null, 403, 'forbidden_origin'),
  },
  {
    name: 'an unknown task',
    method: 'POST',
    path: `/api/tasks/${UNKNOWN_TASK}/cancel`,
    status: 404,
    wanted: { error: 'unknown_task', message: aMessage },
    logged: requestRefused('POST', '/api/tasks/:id/cancel', 404, 'unknown_task'),
  },
  {
    name: 'a route that does not exist',
    method: 'GET',
    path: '/api/nothing?token=secret',
    status: 404,
    wanted: { error: 'unknown_route', message: 'There is no such route. GET /api/docs lists all routes.' },
    logged: requestRefused('GET', null, 404, 'unknown_route'),
  },
  {
    name: 'a method that the route does not have',
    method: 'PUT',
    path: '/api/tasks',
    headers: json,
    body: '{}',
    status: 405,
    wanted: { error: 'method_not_allowed', message: aMessage },
    logged: requestRefused('PUT', '/api/tasks', 405, 'method_not_allowed'),
  },
];
