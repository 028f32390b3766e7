/** The worker of AgentCom: one connection that speaks the protocol of a sidecar and completes each task with a short result. */
import type { HubClient } from '../../../../apps/client/index.ts';
import { lightSidecars, type LightSidecars } from '../../load/light-sidecars.ts';
import type { QueueWorker } from './queue.ts';

export interface AgentcomSettings {
  readonly port: number;
  readonly token: string;
  readonly slots: number;
  /** Completes right behind the acceptance, without waiting for its acknowledgement. */
  readonly atOnce: boolean;
}

let workers = 0;

export async function agentcomWorker(
  { tokens }: HubClient,
  { port, slots, atOnce }: AgentcomSettings,
  onCompleted: (n: number) => void,
): Promise<QueueWorker> {
  const agentId = `worker-${(workers += 1)}`;
  const { token } = await tokens.create({ agent_id: agentId, max_slots: slots });
  const numbers = new Map<string, number>();
  let connected: LightSidecars | null = null;
  return {
    async run() {
      connected = await lightSidecars(
        { ports: [port], sidecars: [{ agentId, token: token ?? '', slots }], atOnce },
        {
          onAssigned: (taskId, description) => void numbers.set(taskId, Number(description.slice('task '.length))),
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
