/** A copy of the tree in which faults are planted, one after the other, and tests are run. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from '../cruise.ts';
import { filesUnder, SOURCE_FOLDERS } from '../tree.ts';
import type { PlantedFault } from './planted-faults.ts';

const ROOT_FILES = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  '.taprc',
  'agentcom.config.ts',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'README.md',
];
/** A fault may make a test wait for something that never comes. */
const TEST_MS_MAX = 180_000;
/** tap's own time limit for a file, in seconds: enough for a sound one on a busy machine, and not too long for one that waits forever. */
const TAP_SECONDS = { sound: '150', planted: '45' } as const;

/** How one run of a test file ended: `red` also if it did not end in time. */
export type Color = 'red' | 'green';

export interface PlantedTree {
  /** Runs the tests of a fault's file with the fault in the tree, or without it. */
  run(fault: PlantedFault, isPlanted: boolean): Promise<Color>;
  remove(): Promise<void>;
}

/** How often the fault's text occurs in its file: exactly once, or it does not represent the described fault. */
export async function placesOf({ file, find }: PlantedFault): Promise<number> {
  return (await readFile(path.join(ROOT, file), 'utf8')).split(find).length - 1;
}

export async function plantedTree(): Promise<PlantedTree> {
  const folder = await mkdtemp(path.join(tmpdir(), 'agentcom-planted-'));
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  const files = await Promise.all([...SOURCE_FOLDERS, 'docs'].map((under) => filesUnder(under)));
  for (const file of [...files.flat(), ...ROOT_FILES]) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await cp(path.join(ROOT, file), path.join(folder, file));
  }
  return {
    async run({ file, find, replace, test }, isPlanted) {
      const place = path.join(folder, file);
      const text = await readFile(place, 'utf8');
      if (text.split(find).length !== 2) throw new Error(`${file}: the text of the fault does not occur exactly once`);
      if (isPlanted)
        await writeFile(
          place,
          text.replace(find, () => replace),
        );
      try {
        return await colorOf(folder, test, isPlanted ? TAP_SECONDS.planted : TAP_SECONDS.sound);
      } finally {
        await writeFile(place, text);
      }
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

const colorOf = (folder: string, test: string, tapSeconds: string): Promise<Color> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--conditions=agentcom-source', '--import=tsx', test], {
      cwd: folder,
      stdio: 'ignore',
      env: { ...process.env, TAP_TIMEOUT: tapSeconds },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), TEST_MS_MAX);
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0 ? 'green' : 'red');
    });
  });
