#!/usr/bin/env node
// The command `agentcom`. In a clone it runs the sources, whether or not they were ever built; the installed package has
// only what was built. All in this one process, so that a signal to its pid is a signal to the hub.
import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';

const built = new URL('../../dist/apps/cli/main.js', import.meta.url);
const sources = new URL('./main.ts', import.meta.url);

async function entry() {
  if (!existsSync(fileURLToPath(sources))) return built.href;
  // Imports of the package by its own name find the sources by this condition.
  const hook =
    "export const resolve = (name, context, next) => next(name, { ...context, conditions: [...context.conditions, 'agentcom-source'] });";
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
  const tsx = await import('tsx/esm/api');
  tsx.register();
  return sources.href;
}

const { main } = await import(await entry());
const exitCode = await main(process.argv.slice(2));
// A hub that has stopped says by itself what it ended with.
if (exitCode !== 0) process.exitCode = exitCode;
