/**
 * Compiles TypeScript with jiti on a thread of its own. Babel takes 18 MiB: a process that has loaded it keeps them for its whole life, a thread
 * gives them back when it ends.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { createJiti, type TransformOptions } from 'jiti';

/** Longer than any config takes. A thread that has not answered by then is not waited for any longer. */
const ANSWER_MS = 10_000;

interface Compiled {
  readonly code: string;
}

export interface TransformThread {
  /** Returns JavaScript, and blocks until it is compiled, as jiti expects. If the thread does not answer, the calling thread compiles. */
  transform(options: TransformOptions): Compiled;
  end(): void;
}

/** The threads in use, by their compiler. */
const inUse = new Map<string, { readonly thread: TransformThread; users: number }>();

/** A thread that loads `compiler`, jiti by default, while the caller continues. Concurrent callers share it, and it ends with the last of them. */
export function startTransformThread(compiler: string = import.meta.resolve('jiti')): TransformThread {
  const shared = inUse.get(compiler) ?? { thread: newTransformThread(compiler), users: 0 };
  inUse.set(compiler, shared);
  shared.users += 1;
  let isOver = false;
  return {
    transform: (options) => shared.thread.transform(options),
    end() {
      if (isOver) return;
      isOver = true;
      shared.users -= 1;
      if (shared.users > 0) return;
      inUse.delete(compiler);
      shared.thread.end();
    },
  };
}

function newTransformThread(compiler: string): TransformThread {
  const { port1: here, port2: there } = new MessageChannel();
  const answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const thread = newThread({ compiler, port: there, answered });
  let isUsable = thread !== null;
  thread?.on('error', () => (isUsable = false)).unref();
  here.unref();

  /** Null: the thread cannot compile it, or does not answer. */
  const answerOf = (options: TransformOptions): Compiled | null => {
    here.postMessage(options);
    Atomics.wait(answered, 0, 0, ANSWER_MS);
    Atomics.store(answered, 0, 0);
    return (receiveMessageOnPort(here)?.message as Compiled | null | undefined) ?? null;
  };

  return {
    transform(options) {
      const compiled = isUsable ? answerOf(options) : null;
      isUsable = compiled !== null;
      return compiled ?? { code: createJiti(import.meta.url).transform(options) };
    },
    end() {
      here.close();
      void thread?.terminate();
    },
  };
}

/** Null if Node's permission model allows no threads. */
function newThread(given: { readonly compiler: string; readonly port: MessagePort; readonly answered: Int32Array }): Worker | null {
  try {
    // Without the options of this process, such as a loader.
    return new Worker(PROGRAM, {
      eval: true,
      name: 'agentcom-config',
      workerData: given,
      transferList: [given.port],
      env: {},
      execArgv: [],
    });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ERR_ACCESS_DENIED') return null;
    throw thrown;
  }
}

/** The program of the thread, as text so that it works however this one was compiled or bundled. It loads Babel before the first source arrives. */
const PROGRAM = `
  const { workerData: { compiler, port, answered } } = require('node:worker_threads');
  const loading = import(compiler).then(({ createJiti }) => {
    const jiti = createJiti(compiler, { fsCache: false });
    jiti.transform({ source: '', ts: true });
    return jiti;
  });
  // A failure is answered to each source, and must not end the thread before.
  loading.catch(() => undefined);
  const compiled = async (options) => ({ code: (await loading).transform(options) });
  port.on('message', async (options) => {
    port.postMessage(await compiled(options).catch(() => null));
    Atomics.store(answered, 0, 1);
    Atomics.notify(answered, 0);
  });`;
