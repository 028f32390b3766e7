/** Files that a program reads: settings that work when written by hand, settings that do not, and files that a task names. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NamedCheckJson } from '../../apps/client/types.ts';
import { QUICK_TOOL, saidInTurn, type AgentCase } from './case-kit.ts';
import { FILE_SECRET } from './fake-model/fake-model.ts';

const STARTS_MAX = 4;
const NO_SETTINGS = 'its checks read no settings of its own';

/**
 * A failed login would send an operator to log in where a comma is missing. Paths are long here, and a message is cut
 * at 256 characters.
 */
const isOfSettings = ({ check, message }: NamedCheckJson): boolean =>
  check === 'settings' || /(?:settings|\.claude|opencode|openclaw)\.json|config\.toml|Error in \S+\.gemini\/se/.test(message);

export const SETTINGS_CASES: readonly AgentCase[] = [
  {
    name: 'own-settings',
    about: 'settings that work by hand, with comments, a key in a file or a provider without one, pass every check',
    options: async ({ ownSettings }, _own, place) => (await ownSettings?.(place)) ?? {},
    unsupported: ({ ownSettings }) => (ownSettings === undefined ? NO_SETTINGS : null),
    async run(room) {
      assert.deepEqual(await room.failedChecks(), []);
      const id = await room.submit(`[[shell: ${QUICK_TOOL}]]`);
      saidInTurn(room, await room.completed(id), 1);
      return undefined;
    },
  },
  {
    name: 'broken-settings',
    about: 'invalid settings: a check fails before any task is assigned',
    options: async ({ brokenSettings }, _own, place) => (await brokenSettings?.(place)) ?? {},
    unsupported: ({ brokenSettings }) => (brokenSettings === undefined ? NO_SETTINGS : null),
    async run(room) {
      const finding = async () => (await room.failedChecks()).find(isOfSettings);
      let failed = await finding();
      // A program that is slow to answer, as on a busy machine, passes.
      for (let starts = 1; failed === undefined && starts < STARTS_MAX; starts += 1) {
        await room.stopSidecar();
        await room.startSidecar();
        failed = await finding();
      }
      assert.ok(failed !== undefined, `no check names it: ${JSON.stringify(await room.failedChecks())}`);
      assert.equal(await room.pausedCause(), 'checks');
      return failed.message;
    },
  },
  {
    name: 'at-path',
    about: 'a task names files as "@path": with the documented setting, none of them is in its prompt',
    options: async ({ keepsFilesOut }, _own, place) => (await keepsFilesOut?.(place)) ?? {},
    async run(room) {
      const files = [join(room.cwd, 'secret.txt'), join(room.home, 'secret.txt')];
      await Promise.all(files.map((file) => writeFile(file, FILE_SECRET)));
      const named = ['@secret.txt', ...files.map((file) => `@${file}`)].join(' ');
      const id = await room.submit(`Look at ${named} [[shell: ${QUICK_TOOL}]]`);
      saidInTurn(room, await room.completed(id), 1);
      assert.ok(!room.calls().some(({ hasSecret }) => hasSecret), 'its model received the file');
      return undefined;
    },
  },
];
