/**
 * Calls every operation of the OpenAPI document with many random requests.
 *
 *     npm run test:openapi -- --runs 20000 --seed 7
 */
import { callOperations } from './call-operations.ts';
import { scriptOptions } from '../../rig/script-options.ts';

const RUNS = 10_000;

const values = scriptOptions({ runs: { type: 'string' }, seed: { type: 'string' } });
const seed = Number(values.seed ?? Date.now() % 1_000_000_000);
const runs = Number(values.runs ?? RUNS);
console.log(`seed ${seed}, ${runs} random requests`);
const startedMs = performance.now();
const { calls, seen, missing } = await callOperations({ seed, runs });
const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
console.log(`${calls} requests in ${seconds} s; ${seen.size} documented answers seen; not seen: ${missing.join(', ') || 'none'}`);
process.exitCode = missing.length === 0 ? 0 : 1;
