/** TypeScript compiled on a separate thread, and in this process if the thread fails. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { createJiti } from 'jiti';
import t, { type Test } from 'tap';
import { startTransformThread } from '../../../apps/config/transform-thread.ts';
import { builtTree } from '../../rig/built-tree.ts';

const SOURCE = `import type { A } from './a';\nexport default { n: 1 as number } satisfies A;\n`;
const OPTIONS = { source: SOURCE, filename: '/somewhere/agentcom.config.ts', ts: true, async: true };

/** A compiler of the test's own, which marks what it compiled. */
async function compilerOf(t: Test, transform: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agentcom-transform-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = join(folder, 'compiler.mjs');
  await writeFile(file, `export const createJiti = () => ({ transform: ${transform} });`);
  return pathToFileURL(file).href;
}

t.test('the thread compiles as jiti does in this process, one source after another', (t) => {
  const thread = startTransformThread();
  t.teardown(() => thread.end());
  const here = createJiti(import.meta.url, { fsCache: false });
  for (const name of ['first', 'second', 'third']) {
    const options = { ...OPTIONS, source: `${SOURCE}export const ${name}: string = '${name}';\n` };
    const { code } = thread.transform(options);
    t.match(code, new RegExp(`exports\\.${name} = .*'${name}'`, 's'));
    t.equal(code, here.transform(options));
  }
  t.end();
});

t.test('what is compiled comes from the thread, until it fails once', async (t) => {
  const thread = startTransformThread(
    await compilerOf(t, `({ source }) => { if (source === 'bad') throw new Error('no'); return 'by the thread: ' + source; }`),
  );
  t.teardown(() => thread.end());
  t.equal(thread.transform({ source: 'a' }).code, 'by the thread: a');
  t.equal(thread.transform({ source: 'b' }).code, 'by the thread: b');
  t.equal(thread.transform({ ...OPTIONS, source: 'bad' }).code.includes('by the thread'), false);
  t.equal(thread.transform({ ...OPTIONS, source: '1 as number' }).code.includes('by the thread'), false);
});

t.test('concurrent users share a thread, which ends with the last of them', async (t) => {
  const compiler = await compilerOf(t, `(() => { let n = 0; return () => 'the thread compiled ' + ++n; })()`);
  const [one, other] = [startTransformThread(compiler), startTransformThread(compiler)];
  t.equal(one.transform({ source: '' }).code, 'the thread compiled 2', 'after the empty source by which the compiler is loaded');
  t.equal(other.transform({ source: '' }).code, 'the thread compiled 3');
  one.end();
  one.end();
  t.equal(other.transform({ source: '' }).code, 'the thread compiled 4', 'it continues for the other');
  other.end();
  const later = startTransformThread(compiler);
  t.teardown(() => later.end());
  t.equal(later.transform({ source: '' }).code, 'the thread compiled 2', 'a separate thread');
});

t.test('a config is compiled even if the compiler cannot be loaded in the thread', (t) => {
  const thread = startTransformThread('file:///nowhere/compiler.mjs');
  t.teardown(() => thread.end());
  t.match(thread.transform(OPTIONS).code, /n: 1\b/);
  t.end();
});

t.test('where threads are not allowed, this process compiles', async (t) => {
  const program = `
    import { startTransformThread } from ${JSON.stringify(pathToFileURL(builtTree().compiled('apps/config/transform-thread.ts')))};
    const thread = startTransformThread();
    process.stdout.write(thread.transform(${JSON.stringify(OPTIONS)}).code);
    thread.end();`;
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const args = [flag, '--allow-fs-read=*', '--no-warnings', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  t.match(stdout, /n: 1\b/);
});
