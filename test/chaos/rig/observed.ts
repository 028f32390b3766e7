/** What submitters and readers of the stream received, across every death of the hub. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HubClient, SubmitRequest } from '../../../apps/client/index.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

/** Delay before a submit that was not answered is tried again. */
const AGAIN_MS = 20;
/** One answered submit in this many is repeated, and must get the same answer. */
const ASK_AGAIN_EVERY = 50;

export interface Observed {
  /** The text of each task whose submit was answered, by the task's id. */
  readonly answered: ReadonlyMap<string, string>;
  /** Submits that a fault left unanswered, and that were repeated. */
  readonly repeated: number;
  readonly askedAgain: number;
  /** Keys for which a repeated submit was answered with another task. */
  readonly changed: readonly string[];
}

export interface Submitter extends Observed {
  /** Repeats the submit until it is answered, and resolves with the task's id. */
  submit(key: string, body: SubmitRequest): Promise<string>;
}

export function submitter(api: HubClient, signal: AbortSignal): Submitter {
  const answered = new Map<string, string>();
  const changed: string[] = [];
  let repeated = 0;
  let askedAgain = 0;

  async function submitUntilAnswered(key: string, body: SubmitRequest): Promise<string> {
    for (let tries = 1; ; tries += 1) {
      try {
        return (await api.tasks.submit(body, key)).task_id;
      } catch (thrown) {
        if (signal.aborted || !mayPass(thrown)) throw thrown;
        if (tries === 1) repeated += 1;
        await sleep(AGAIN_MS, undefined, { signal });
      }
    }
  }

  return {
    answered,
    changed,
    get repeated() {
      return repeated;
    },
    get askedAgain() {
      return askedAgain;
    },
    async submit(key, body) {
      const taskId = await submitUntilAnswered(key, body);
      answered.set(taskId, body.description);
      if (answered.size % ASK_AGAIN_EVERY === 0) {
        askedAgain += 1;
        if ((await submitUntilAnswered(key, body)) !== taskId) changed.push(key);
      }
      return taskId;
    },
  };
}

/** Whether an error may pass: there was no answer, or the hub is overloaded. Every other refusal is a finding. */
export function mayPass(thrown: unknown): boolean {
  if (AgentcomError.is(thrown, 'AC_API_UNREACHABLE')) return true;
  const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : undefined;
  return status === 429 || status === 503;
}

/** An event, as the stream delivered it. */
export interface ObservedEvent {
  readonly id: number;
  readonly event: string;
  readonly taskId: string;
  readonly generation: number | null;
  readonly agentId: string | null;
}

export interface StreamReader {
  /** The ids of all events, in the order in which they were delivered. */
  readonly ids: readonly number[];
  /** Rejects with the error that the stream failed with. */
  stop(): Promise<void>;
}

/** Reads the hub's stream from the first event on, across every restart. `onEvent` MUST NOT throw. */
export function readStream(api: HubClient, onEvent: (event: ObservedEvent) => void): StreamReader {
  const stopping = new AbortController();
  const ids: number[] = [];
  const read = async (): Promise<void> => {
    for await (const { id, event, data } of api.events({ lastEventId: '0', signal: stopping.signal, giveUpAfterMs: Infinity })) {
      ids.push(Number(id));
      onEvent({
        id: Number(id),
        event,
        taskId: String(data['task_id']),
        generation: typeof data['generation'] === 'number' ? data['generation'] : null,
        agentId: typeof data['agent_id'] === 'string' ? data['agent_id'] : null,
      });
    }
  };
  // `stop` reports a failure.
  const ended = read().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return {
    ids,
    async stop() {
      stopping.abort();
      const failure = await ended;
      if (failure !== null) throw failure as Error;
    },
  };
}
