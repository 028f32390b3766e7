// @ts-check
/**
 * A storage of your own, made of another: it tells in the log of each commit that took too long.
 *
 *     storage: timed(sqlite({ file: 'agentcom.db' }), { slowMs: 200 }),
 */

/** @typedef {import('agentcom').StorageChoice} StorageChoice */

const OPTIONS = ['slowMs'];

/**
 * Chooses it. Like every choice it opens nothing, and says by `problems` what is wrong with its options.
 *
 * @param {StorageChoice} inner Keeps the tasks.
 * @param {{ readonly slowMs?: number | undefined }} [options] From how many milliseconds on a commit is logged; default 1,000.
 * @returns {StorageChoice}
 */
export function timed(inner, options = {}) {
  const { slowMs = 1_000 } = options;
  const name = `timed ${inner.name}`;
  return {
    port: 'storage',
    name,
    options: { ...options, inner: inner.options },
    capabilities: inner.capabilities,
    problems: () => [
      ...inner.problems(),
      ...(Number.isFinite(slowMs) && slowMs >= 0
        ? []
        : [{ path: 'slowMs', message: `expected a number of milliseconds, 0 or more, found ${JSON.stringify(slowMs)}` }]),
      ...Object.keys(options)
        .filter((option) => !OPTIONS.includes(option))
        .map((option) => ({ path: option, message: `timed() has no such option; it has ${OPTIONS.join(', ')}` })),
    ],
    async create(deps) {
      const { clock, log } = deps;
      const storage = await inner.create(deps);
      /** @type {typeof storage.tasks.transact} */
      const transact = async (batchId, work) => {
        const fromMs = clock.monotonicMs();
        try {
          return await storage.tasks.transact(batchId, work);
        } finally {
          const tookMs = Math.round(clock.monotonicMs() - fromMs);
          if (tookMs >= slowMs) log.warn('a commit took long', { storage: inner.name, batchId, tookMs });
        }
      };
      return passedOn(storage, { name, tasks: passedOn(storage.tasks, { transact }) });
    },
  };
}

/**
 * Everything of `inner`, and what its port may get later, but for what stands in `own`.
 *
 * @template {object} T
 * @param {T} inner
 * @param {Partial<T>} own
 * @returns {T}
 */
function passedOn(inner, own) {
  return new Proxy(inner, {
    get(target, key) {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key);
      const value = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
