#!/usr/bin/env node
// The command `agentcom`. In a clone it runs the sources, whether or not they were ever built; the installed package has
// only what was built. All in this one process, so that a signal to its pid is a signal to the hub.
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const built = new URL('../../dist/apps/cli/main.js', import.meta.url);
const sources = new URL('./main.ts', import.meta.url);

/** Node 22 and later keep what they compiled. In the user's own folder: files in a shared one could be another user's program. */
function keepCompiled() {
  const { XDG_CACHE_HOME: cache, LOCALAPPDATA: local, HOME: home } = process.env;
  const folder = cache || local || (home && join(home, '.cache'));
  if (folder) nodeModule.enableCompileCache?.(join(folder, 'agentcom', 'compiled'));
}

async function entry() {
  if (!existsSync(fileURLToPath(sources))) return built.href;
  // Imports of the package by its own name find the sources by this condition.
  const hook =
    "export const resolve = (name, context, next) => next(name, { ...context, conditions: [...context.conditions, 'agentcom-source'] });";
  nodeModule.register(`data:text/javascript,${encodeURIComponent(hook)}`);
  const tsx = await import('tsx/esm/api');
  tsx.register();
  return sources.href;
}

keepCompiled();
const { main } = await import(await entry());
const exitCode = await main(process.argv.slice(2));
// A hub that has stopped says by itself what it ended with.
if (exitCode !== 0) process.exitCode = exitCode;
