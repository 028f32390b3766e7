// @ts-check
/** What every runner is held to, with an agent that speaks the language of ours, and how that language is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processSubject, wakeRunnerContract } from 'agentcom/testing';
import { dialect, myAgent } from './my-runner.mjs';

wakeRunnerContract(
  'my agent',
  processSubject((argv, deps) => myAgent({ argv }).create(deps), {
    started: '{"say":"ready","session":"s1"}\n',
    interim: '{"say":"tool","name":"interim"}\n',
    result: '{"say":"answer","text":"42","tokens":7}\n',
    failed: '{"say":"sorry","text":"I cannot"}\n',
  }),
  { test },
);

test('a wrong key is reported as such, and whether it had begun to work', () => {
  /** @param {Readonly<Record<string, unknown>>} json */
  const line = (json) => ({ stream: /** @type {const} */ ('stdout'), text: JSON.stringify(json), json, readAtMs: 0 });
  const sorry = line({ say: 'sorry', key: 'wrong', text: 'who are you?' });
  const fresh = dialect.begin(null);
  const [failed] = dialect.onLine(fresh, sorry).events ?? [];
  assert.ok(failed?.type === 'failed');
  assert.deepEqual([failed.kind, failed.retryable, failed.beforeWork], ['auth', false, true]);
  const { state } = dialect.onLine(fresh, line({ say: 'tool', name: 'ls' }));
  const [later] = dialect.onLine(state, sorry).events ?? [];
  assert.ok(later?.type === 'failed');
  assert.equal(later.beforeWork, undefined);
});
