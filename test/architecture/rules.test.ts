/** The layers hold, and each rule that keeps them can be broken: a rule that nothing can break proves nothing. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { archArguments, cruise, ROOT } from './cruise.ts';
import { copyWithPlanted, plantedFiles, sourceFiles } from './tree.ts';

/** Files that an offender imports; they are not offenders themselves. */
const isTarget = (file: string): boolean => path.basename(file) === 'target.ts';

const { forbidden } = createRequire(import.meta.url)(path.join(ROOT, '.dependency-cruiser.cjs')) as {
  forbidden: readonly { readonly name: string; readonly comment?: string; readonly severity: string }[];
};

t.test('every rule is an error with a remedy, and has a planted file', async (t) => {
  const planted = await plantedFiles();
  t.strictSame([...planted.keys()].sort(), forbidden.map((rule) => rule.name).sort());
  for (const rule of forbidden) {
    t.equal(rule.severity, 'error', rule.name);
    t.ok((rule.comment ?? '').length > 10, `${rule.name} has a comment`);
    t.ok(
      (planted.get(rule.name) ?? []).some((file) => !isTarget(file)),
      `${rule.name} has an offender`,
    );
  }
});

// One cruise, of a copy with the planted files: only they break a rule.
t.test('the tree keeps its layers, all of it is checked, and each planted file breaks only its rule', async (t) => {
  const copy = await mkdtemp(path.join(tmpdir(), 'agentcom-planted-'));
  t.teardown(() => rm(copy, { recursive: true, force: true }));
  await copyWithPlanted(copy);
  const { violations, modules } = await cruise(copy);
  const offenders = new Set<string>();
  for (const [rule, files] of await plantedFiles()) {
    for (const file of files) {
      offenders.add(file);
      const tripped = [...new Set(violations.filter((violation) => violation.from === file).map((violation) => violation.rule))];
      t.strictSame(tripped, isTarget(file) ? [] : [rule], file);
    }
  }
  t.strictSame(
    violations.filter((violation) => !offenders.has(violation.from)),
    [],
    'no other rule is broken',
  );
  const cruised = new Set(modules);
  const roots = archArguments();
  const unseen = (await sourceFiles()).filter((file) => roots.includes(file.split('/')[0] ?? '') && !cruised.has(file));
  t.strictSame(unseen, [], 'every source file was cruised');
  t.ok(
    modules.some((file) => file.startsWith('core/domain/')),
    'core was cruised',
  );
});
