/** Version 1 apart from tasks: identifying, invalid frames, and messages between agents. Data, row by row. */
import { A_TIME, any, known } from './frame-template.ts';

const AGENT = known('agent');
const OTHER = known('other');
const TOKEN = known('token');
export const MESSAGE_ID = any('an id', (value) => typeof value === 'string' && /^msg-[0-9a-z-]{8,}$/.test(value));
export const WITHIN_A_MINUTE = any('milliseconds', (value) => Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= 60_000);

type Template = Readonly<Record<string, unknown>>;

const error = (word: string, more: Template = {}): readonly Template[] => [{ type: 'error', error: word, ...more }];
const invalid = (messageType: string, ...errors: readonly Template[]) => error('validation_failed', { message_type: messageType, errors });
const required = (field: string) => ({ field, error: 'required', detail: `is required` });
const identify = { type: 'identify', agent_id: AGENT, token: TOKEN };
const identified = [{ type: 'identified', agent_id: AGENT }];

/** Each on its own socket. A text is sent as it is. */
export const FIRST_FRAMES: readonly { readonly given: Template | string; readonly wanted: readonly Template[] }[] = [
  { given: { ...identify, protocol_version: 1 }, wanted: identified },
  { given: identify, wanted: identified },
  {
    given: {
      ...identify,
      name: 'A One',
      status: 'idle',
      capabilities: ['code'],
      client_type: 'sidecar',
      hostname: 'unknown fields are ignored',
    },
    wanted: identified,
  },
  { given: { ...identify, token: 'a guess' }, wanted: error('invalid_token') },
  { given: { ...identify, agent_id: OTHER }, wanted: error('token_agent_mismatch') },
  { given: { type: 'identify', agent_id: AGENT }, wanted: invalid('identify', required('token')) },
  {
    given: { ...identify, capabilities: 'code' },
    wanted: invalid('identify', { field: 'capabilities', error: 'type', detail: 'must be a list, found "code"' }),
  },
  ...['ping', 'status', 'list_agents', 'message', 'task_accepted', 'task_complete', 'no_such_type'].map((type) => ({
    given: { type, status: 'idle' },
    wanted: error('not_identified'),
  })),
  { given: '{"type":', wanted: error('invalid_json') },
  { given: '"ping"', wanted: error('invalid_json') },
];

/** From an identified agent. */
export const LATER_FRAMES: readonly { readonly given: Template | string; readonly wanted: readonly Template[] }[] = [
  { given: '{"type":"ping"', wanted: error('invalid_json') },
  { given: '[{"type":"ping"}]', wanted: error('invalid_json') },
  { given: { type: 'no_such_type' }, wanted: error('unknown_message_type') },
  { given: { status: 'idle' }, wanted: error('unknown_message_type') },
  {
    given: { type: 'task_released', task_id: 'task-00000000000000aa', generation: 1, reason: 'of version 2' },
    wanted: error('unknown_message_type'),
  },
  { given: { type: 'status' }, wanted: invalid('status', required('status')) },
  {
    given: { type: 'task_accepted', task_id: '../../etc/passwd' },
    wanted: invalid('task_accepted', {
      field: 'task_id',
      error: 'pattern',
      detail: 'must be a task ID: "task-" and 16 to 64 hexadecimal digits (0-9, a-f), found "../../etc/passwd"',
    }),
  },
];

const card = (agentId: unknown, status: string): Template => ({
  agent_id: agentId,
  name: agentId,
  status,
  capabilities: [agentId],
  connected_at: A_TIME,
});
const message = (reported: Template): Template => ({
  type: 'message',
  id: MESSAGE_ID,
  from: AGENT,
  message_type: 'chat',
  reply_to: null,
  ...reported,
  timestamp: A_TIME,
});
const sent = [{ type: 'message_sent', id: MESSAGE_ID }];

/** Between two agents, in this order: what one sends, the answer to it, and what the other receives. */
export const TALK: readonly { readonly given: Template; readonly wanted: readonly Template[]; readonly received?: Template }[] = [
  { given: { type: 'ping' }, wanted: [{ type: 'pong', timestamp: A_TIME }] },
  {
    given: { type: 'status', status: 'working' },
    wanted: [{ type: 'status_updated', status: 'working' }],
    received: { type: 'status_changed', agent: card(AGENT, 'working') },
  },
  {
    given: { type: 'list_agents' },
    wanted: [{ type: 'agents', agents: [card(AGENT, 'working'), card(OTHER, 'idle')] }],
  },
  {
    given: { type: 'status', status: 'idle' },
    wanted: [{ type: 'status_updated', status: 'idle' }],
    received: { type: 'status_changed', agent: card(AGENT, 'idle') },
  },
  { given: { type: 'message', to: OTHER, payload: 'hello' }, wanted: sent, received: message({ payload: 'hello' }) },
  {
    given: { type: 'message', to: OTHER, payload: { files: ['a', 'b'] }, message_type: 'question', reply_to: 'msg-before' },
    wanted: sent,
    received: message({ payload: { files: ['a', 'b'] }, message_type: 'question', reply_to: 'msg-before' }),
  },
  { given: { type: 'message', payload: 'to all' }, wanted: sent, received: message({ payload: 'to all' }) },
  { given: { type: 'message', to: 'nobody', payload: 'hello' }, wanted: error('message_failed: agent_not_connected') },
  { given: { type: 'message', to: OTHER }, wanted: invalid('message', required('payload')) },
  { given: { type: 'resource_report', cpu_percent: 12.5, ram_used_bytes: 4_096 }, wanted: [] },
  { given: { type: 'agent_restarting', reason: 'an update' }, wanted: [] },
];
