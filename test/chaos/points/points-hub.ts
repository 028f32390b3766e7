/** The hub, assembled as usual, with steps to be killed at around its storage and its transport. */
import { TOKENS } from '../../../apps/container-tokens.ts';
import type { HubConnection, HubTransport, TransportEvents } from '../../../core/ports/hub-transport.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { Changes, StoreUnit, TaskStore } from '../../../core/ports/task-store.ts';
import { runHubWith } from '../rig/hub-program.ts';
import { armed, around, type Armed } from './armed.ts';

const kill = armed(process.env);
await runHubWith(async (container) => {
  const storage = await container.getAsync(TOKENS.Storage);
  const transport = await container.getAsync(TOKENS.HubTransport);
  container.rebind(TOKENS.Storage).toConstantValue(steppedStorage(storage, kill));
  container.rebind(TOKENS.HubTransport).toConstantValue(steppedTransport(transport, kill));
});

function steppedStorage(storage: Storage, kill: Armed): Storage {
  return {
    name: storage.name,
    tasks: steppedTasks(storage.tasks, kill),
    agents: storage.agents,
    events: storage.events,
    output: storage.output,
    audit: storage.audit,
    notifier: storage.notifier,
    open: () => around(kill, 'opening the store', () => storage.open()),
    close: () => storage.close(),
    healthy: () => storage.healthy(),
  };
}

/** A batch is named by its events, or as having none. */
function steppedTasks(tasks: TaskStore, kill: Armed): TaskStore {
  return {
    capabilities: tasks.capabilities,
    nowMs: () => tasks.nowMs(),
    wallMs: () => tasks.wallMs(),
    lastUsedMs: () => tasks.lastUsedMs(),
    async transact(batchId, work) {
      let kinds: readonly string[] = [];
      kill.at('before BEGIN of a batch');
      const answer = await tasks.transact(batchId, async (unit) => {
        kill.at('after BEGIN of a batch');
        const done = await work(steppedUnit(unit, kill, (changes) => (kinds = kindsOf(changes))));
        for (const kind of kinds) kill.at(`before COMMIT of ${kind}`);
        return done;
      });
      for (const kind of kinds) kill.at(`after COMMIT of ${kind}, before answers`);
      return answer;
    },
    committed: (batchId) => tasks.committed(batchId),
    read: (id) => tasks.read(id),
    history: (id, page) => tasks.history(id, page),
    keptResult: (key) => tasks.keptResult(key),
    list: (query) => tasks.list(query),
    beginningWith: (prefix, limit, after) => tasks.beginningWith(prefix, limit, after),
    stats: () => tasks.stats(),
    oldestReady: (nowMs) => tasks.oldestReady(nowMs),
    peek: (ids) => tasks.peek(ids),
    nextDueAtMs: () => tasks.nextDueAtMs(),
  };
}

function kindsOf({ events, agents }: Changes): readonly string[] {
  const kinds = new Set<string>(events.map(({ event }) => event));
  if (kinds.size === 0) kinds.add(agents.length > 0 ? 'an agent alone' : 'nothing told');
  return [...kinds];
}

function steppedUnit(unit: StoreUnit, kill: Armed, saving: (changes: Changes) => void): StoreUnit {
  return {
    nowMs: unit.nowMs,
    removableMs: unit.removableMs,
    isExclusive: unit.isExclusive,
    cluster: unit.cluster,
    load: (names) => around(kill, 'loading', () => unit.load(names)),
    read: (names) => unit.read(names),
    takeAgents: (ids) => around(kill, 'taking agents', () => unit.takeAgents(ids)),
    waitingRequirements: (filter) => unit.waitingRequirements(filter),
    claimable: (filter) => around(kill, 'claiming', () => unit.claimable(filter)),
    due: (nowMs, limit) => around(kill, 'looking for what is due', () => unit.due(nowMs, limit)),
    dueAssignees: (nowMs, limit) => unit.dueAssignees(nowMs, limit),
    dependentsOf: (of, limit) => unit.dependentsOf(of, limit),
    bodies: (ids) => unit.bodies(ids),
    heldCounts: (agentIds) => around(kill, 'counting holdings', () => unit.heldCounts(agentIds)),
    activeAgents: (exceptOf, known) => unit.activeAgents(exceptOf, known),
    remove: (old) => around(kill, 'removing expired tasks', () => unit.remove(old)),
    removeAgents: (old) => unit.removeAgents(old),
    async save(changes) {
      saving(changes);
      for (const kind of kindsOf(changes)) kill.at(`before saving ${kind}`);
      return await unit.save(changes);
    },
  };
}

function steppedTransport(transport: HubTransport, kill: Armed): HubTransport {
  return {
    name: transport.name,
    capabilities: transport.capabilities,
    listen: (options, events) =>
      around(kill, 'listening', () =>
        transport.listen(
          {
            ...options,
            http: async (request) => {
              if (request.method !== 'POST') return options.http(request);
              kill.at('before a POST is handled');
              const reply = await options.http(request);
              kill.at('after a POST is handled, before its answer');
              return reply;
            },
          },
          steppedEvents(events, kill),
        ),
      ),
    refuseNew: () => transport.refuseNew(),
    close: (code, reason) => transport.close(code, reason),
  };
}

function steppedEvents(events: TransportEvents, kill: Armed): TransportEvents {
  const stepped = new Map<number, HubConnection>();
  const of = (connection: HubConnection): HubConnection => stepped.get(connection.id) ?? steppedConnection(connection, kill);
  return {
    onOpen(connection) {
      const made = steppedConnection(connection, kill);
      stepped.set(connection.id, made);
      events.onOpen(made);
      kill.at('after a socket opened');
    },
    onFrame(connection, text) {
      const type = typeOf(text);
      kill.at(`before taking ${type}`);
      events.onFrame(of(connection), text);
      kill.at(`after taking ${type}, before its batch`);
    },
    onPong: (connection) => events.onPong(of(connection)),
    onGone(connection, code) {
      events.onGone(of(connection), code);
      stepped.delete(connection.id);
      kill.at('after a socket went');
    },
  };
}

function steppedConnection(connection: HubConnection, kill: Armed): HubConnection {
  return {
    id: connection.id,
    remoteAddress: connection.remoteAddress,
    forwardedFor: connection.forwardedFor,
    send(text) {
      const type = typeOf(text);
      kill.at(`before sending ${type}`);
      const isSent = connection.send(text);
      kill.at(`after sending ${type}`);
      return isSent;
    },
    ping: () => connection.ping(),
    identified: () => connection.identified(),
    bufferedBytes: () => connection.bufferedBytes(),
    close: (code, reason) => connection.close(code, reason),
  };
}

/** The type of a frame, and for an acknowledgement what it acknowledges. */
function typeOf(text: string): string {
  const { type, status } = JSON.parse(text) as { readonly type?: string; readonly status?: string };
  return type === 'task_ack' ? `task_ack ${status ?? ''}` : (type ?? 'a frame without a type');
}
