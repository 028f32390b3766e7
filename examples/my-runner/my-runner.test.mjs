// @ts-check
/** What every runner is held to, with an agent that speaks the language of ours, and how that language is read. */
import { processSubject, wakeRunnerContract } from 'agentcom/testing';
import t from 'tap';
import { dialect, myAgent } from './my-runner.mjs';

wakeRunnerContract('my agent', () =>
  processSubject((argv, deps) => myAgent({ argv }).create(deps), {
    started: '{"say":"ready","session":"s1"}\n',
    result: '{"say":"answer","text":"42","tokens":7}\n',
    failed: '{"say":"sorry","text":"I cannot"}\n',
  }),
);

t.test('a wrong key is told as such, and whether it had begun to work', (t) => {
  /** @param {Readonly<Record<string, unknown>>} json */
  const line = (json) => ({ stream: /** @type {const} */ ('stdout'), text: JSON.stringify(json), json, heardAtMs: 0 });
  const sorry = line({ say: 'sorry', key: 'wrong', text: 'who are you?' });
  const fresh = dialect.begin(null);
  t.match(dialect.hear(fresh, sorry).events, [{ kind: 'auth', retryable: false, beforeWork: true }]);
  const { state } = dialect.hear(fresh, line({ say: 'tool', name: 'ls' }));
  t.notMatch(dialect.hear(state, sorry).events, [{ beforeWork: true }]);
  t.end();
});
