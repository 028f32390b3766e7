/** The worker of AgentCom: `agentcom/worker` with a handler that returns at once, or a client that only speaks the protocol, step by step. */
import type { HubClient } from '../../../../apps/client/index.ts';
import { worker } from '../../../../apps/worker/index.ts';
import { RenewedMap } from '../../../../core/domain/renewed-map.ts';
import { lightSidecars, type LightSidecars } from '../../load/light-sidecars.ts';
import type { QueueWorker } from './queue.ts';

export interface AgentcomSettings {
  readonly port: number;
  readonly token: string;
  readonly slots: number;
  /** Completes each task only when its acceptance is acknowledged, which no real worker waits for. */
  readonly inSteps: boolean;
}

interface Enrolled {
  readonly agentId: string;
  readonly token: string;
}

let workers = 0;

export async function agentcomWorker(
  { tokens }: HubClient,
  settings: AgentcomSettings,
  onCompleted: (n: number) => void,
): Promise<QueueWorker> {
  const agentId = `worker-${(workers += 1)}`;
  const { token } = await tokens.create({ agent_id: agentId, max_slots: settings.slots });
  return (settings.inSteps ? lightWorker : functionWorker)({ agentId, token: token ?? '' }, settings, onCompleted);
}

const numberOf = (description: string): number => Number(description.slice('task '.length));

function functionWorker(enrolled: Enrolled, { port, slots }: AgentcomSettings, onCompleted: (n: number) => void): QueueWorker {
  const numbers = new RenewedMap<string, number>();
  let running: ReturnType<typeof worker> | null = null;
  return {
    async run() {
      running = worker({
        hub: `http://127.0.0.1:${port}`,
        ...enrolled,
        slots,
        handle(task) {
          numbers.set(task.task_id, numberOf(task.description));
          return 'done';
        },
        onEvent(event) {
          if (event.type !== 'acknowledged') return;
          onCompleted(numbers.get(event.fence.taskId) ?? NaN);
          numbers.delete(event.fence.taskId);
        },
      });
      await running.ready;
    },
    stop: async () => running?.stop(),
  };
}

function lightWorker(enrolled: Enrolled, { port, slots }: AgentcomSettings, onCompleted: (n: number) => void): QueueWorker {
  const numbers = new Map<string, number>();
  let connected: LightSidecars | null = null;
  return {
    async run() {
      connected = await lightSidecars(
        { ports: [port], sidecars: [{ ...enrolled, slots }], atOnce: false },
        {
          onAssigned: (taskId, description) => void numbers.set(taskId, numberOf(description)),
          onCompleted(taskId) {
            onCompleted(numbers.get(taskId) ?? NaN);
            numbers.delete(taskId);
          },
          onFailure(error) {
            throw error;
          },
        },
      );
    },
    stop: async () => connected?.close(),
  };
}
