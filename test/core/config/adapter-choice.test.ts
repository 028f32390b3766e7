import t from 'tap';
import { adapterProblems } from '../../../core/config/adapter-choice.ts';
import type { ConfigProblem } from '../../../core/config/config.ts';

const problemsWith = (problems: () => unknown): readonly ConfigProblem[] =>
  adapterProblems(
    'storage',
    'a storage',
    { port: 'storage', name: 'sqlite', capabilities: {}, problems, create: () => t.fail() },
    'hub.storage',
  );

t.test('an adapter whose check throws is an error of its own', async (t) => {
  const problems = problemsWith(() => {
    throw new Error('boom');
  });
  t.strictSame(problems, [{ path: 'hub.storage', message: 'the adapter "sqlite" could not check its options: boom' }]);
});

t.test('an adapter whose check answers something else is an error of its own', async (t) => {
  const cases: readonly (readonly [unknown, string])[] = [
    [['no file'], 'a list with "no file"'],
    [[{ message: 'no path' }], 'a list with an object'],
    [undefined, 'undefined'],
    [Promise.reject(new Error('boom')), 'a promise (await it)'],
  ];
  for (const [answer, found] of cases) {
    const message = `the adapter "sqlite" is invalid: expected a list of { path, message } from problems(), found ${found}`;
    t.strictSame(
      problemsWith(() => answer),
      [{ path: 'hub.storage', message }],
    );
  }
});
