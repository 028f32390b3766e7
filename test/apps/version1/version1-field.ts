/** A hub process and the version 1 sidecars of a test: how they connect, and how a task gets into the state that a row wants. */
import { deepStrictEqual } from 'node:assert/strict';
import { fill, A_TIME, known } from './frame-template.ts';
import type { Row } from './version1-table.ts';
import { v1Client, type Frame, type V1Client, type V1ClientOptions } from './version1-client.ts';
import type { World } from '../app-world.ts';

const UNKNOWN_TASK = 'task-00000000000000ff';

/** What every version 1 sidecar receives with an assignment; what the submitter left out is null or empty. */
export const ASSIGN = {
  type: 'task_assign',
  task_id: known('task'),
  description: known('description'),
  metadata: {},
  generation: known('generation'),
  assigned_at: A_TIME,
  repo: null,
  branch: null,
  file_hints: [],
  success_criteria: [],
  verification_steps: [],
  complexity: null,
  routing_decision: null,
  skip_verification: null,
  verification_timeout_ms: null,
  max_verification_retries: null,
};

export interface Field {
  readonly world: World;
  /** A socket for an agent with its own token; nothing is sent. */
  connect(agentId: string, options?: Partial<V1ClientOptions>): Promise<V1Client>;
  /** The same agent from a new socket. */
  reconnect(client: V1Client): Promise<V1Client>;
  /** Connected, identified, and known to hold nothing: it gets work at once. */
  free(agentId: string, identify?: Readonly<Record<string, unknown>>): Promise<V1Client>;
  /** A free agent with a task that only it may run, assigned to it. */
  assigned(agentId: string, submit?: Readonly<Record<string, unknown>>): Promise<Held>;
  accepted(agentId: string, submit?: Readonly<Record<string, unknown>>): Promise<Held>;
  prepare(row: Row, agentId: string): Promise<Prepared>;
}

export interface Held {
  readonly client: V1Client;
  readonly id: string;
  readonly assign: Frame;
}

export interface Prepared {
  readonly client: V1Client;
  readonly values: { readonly task: string; readonly agent: string; readonly other: string };
  end(): Promise<void>;
}

export const identifyFrame = ({ agentId, token }: V1Client): Readonly<Record<string, unknown>> => ({
  type: 'identify',
  agent_id: agentId,
  token,
  name: agentId,
  status: 'idle',
  capabilities: [agentId],
  client_type: 'sidecar',
  protocol_version: 1,
});

/** Sends it, and returns the one frame that must follow; any other is an error. */
export async function sendAndExpect(client: V1Client, frame: Readonly<Record<string, unknown>>, wanted: object): Promise<void> {
  client.send(frame);
  await expectFrame(client, wanted);
}

/** The next frame, which must be exactly this one. */
export async function expectFrame(client: V1Client, wanted: object, values: Readonly<Record<string, unknown>> = {}): Promise<Frame> {
  const came = await client.next();
  deepStrictEqual(came, fill(wanted, values, came), `what ${client.agentId} was sent`);
  return came;
}

export function field(world: World): Field {
  const { api, port } = world;
  const tokens = new Map<string, string>();
  let sockets = 0;

  const connect: Field['connect'] = async (agentId, options = {}) => {
    const token = tokens.get(agentId) ?? (await api.tokens.create({ agent_id: agentId })).token ?? '';
    tokens.set(agentId, token);
    sockets += 1;
    return v1Client({ port, agentId, token, address: `198.51.${sockets >> 8}.${sockets & 255}`, ...options });
  };
  const identified = async (client: V1Client, over: Readonly<Record<string, unknown>> = {}): Promise<V1Client> => {
    await sendAndExpect(client, { ...identifyFrame(client), ...over }, { type: 'identified', agent_id: client.agentId });
    return client;
  };
  const back = async (client: V1Client, over: Readonly<Record<string, unknown>> = {}): Promise<V1Client> => {
    await client.cut();
    return identified(await connect(client.agentId), over);
  };
  const free: Field['free'] = async (agentId, over) => {
    const client = await identified(await connect(agentId), over);
    await sendAndExpect(client, { type: 'task_recovering', task_id: UNKNOWN_TASK }, { type: 'task_reassign', task_id: UNKNOWN_TASK });
    return client;
  };
  const assigned: Field['assigned'] = async (agentId, submit = {}) => {
    const client = await free(agentId);
    const description = `of ${agentId}`;
    const { task_id: id } = await api.tasks.submit({ description, needed_capabilities: [agentId], ...submit });
    return { client, id, assign: await expectFrame(client, ASSIGN, { task: id, generation: 1, description }) };
  };
  const accepted: Field['accepted'] = async (agentId, submit) => {
    const held = await assigned(agentId, submit);
    await sendAndExpect(
      held.client,
      { type: 'task_accepted', task_id: held.id },
      { type: 'task_ack', task_id: held.id, status: 'accepted' },
    );
    return held;
  };

  return {
    world,
    connect,
    reconnect: async (client) => connect(client.agentId),
    free,
    assigned,
    accepted,
    async prepare(row, agentId) {
      const other = `${agentId}-other`;
      const submit = row.maxRetries === undefined ? {} : { max_retries: row.maxRetries };
      const prepared = (client: V1Client, task: string, ...others: readonly V1Client[]): Prepared => ({
        client,
        values: { task, agent: agentId, other },
        end: async () => void (await Promise.all([client, ...others].map((one) => one.cut()))),
      });
      switch (row.when) {
        case 'unknown to the hub':
          return prepared(await free(agentId), UNKNOWN_TASK);
        case 'queued': {
          const { task_id: id } = await api.tasks.submit({ description: 'of nobody', needed_capabilities: ['nobody-can'] });
          return prepared(await free(agentId), id);
        }
        case 'assigned': {
          const { client, id } = await assigned(agentId, submit);
          return prepared(client, id);
        }
        case 'accepted': {
          const { client, id } = await accepted(agentId, submit);
          return prepared(client, id);
        }
        case 'accepted by another': {
          const held = await accepted(other, submit);
          return prepared(await free(agentId), held.id, held.client);
        }
        case 'assigned, and the agent is back': {
          const { client, id, assign } = await assigned(agentId, submit);
          const returned = await back(client);
          await expectFrame(returned, assign);
          return prepared(returned, id);
        }
        case 'accepted, and the agent is back': {
          const { client, id } = await accepted(agentId, submit);
          return prepared(await back(client), id);
        }
        case 'taken back': {
          const { client, id } = await accepted(agentId, submit);
          await sendAndExpect(
            client,
            { type: 'task_recovering', task_id: id, last_status: 'waking' },
            { type: 'task_reassign', task_id: id },
          );
          return prepared(client, id);
        }
        case 'given to another since': {
          const { client, id } = await accepted(agentId, { max_retries: 0 });
          await sendAndExpect(
            client,
            { type: 'task_recovering', task_id: id, last_status: 'waking' },
            { type: 'task_reassign', task_id: id },
          );
          const [returned, next] = [await back(client, { capabilities: [] }), await free(other, { capabilities: [agentId] })];
          await api.tasks.retry(id);
          await sendAndExpect(
            next,
            { type: 'task_accepted', task_id: (await next.next())['task_id'] },
            { type: 'task_ack', task_id: id, status: 'accepted' },
          );
          return prepared(returned, id, next);
        }
        case 'completed': {
          const { client, id } = await accepted(agentId, submit);
          const ack = { type: 'task_ack', task_id: id, status: 'complete' };
          await sendAndExpect(client, { type: 'task_complete', task_id: id, generation: 1, result: 'done' }, ack);
          return prepared(client, id);
        }
        case 'in the dead letter': {
          const { client, id } = await accepted(agentId, { max_retries: 0 });
          const ack = { type: 'task_ack', task_id: id, status: 'dead_letter' };
          await sendAndExpect(client, { type: 'task_failed', task_id: id, generation: 1, error: 'for good' }, ack);
          return prepared(client, id);
        }
      }
    },
  };
}
