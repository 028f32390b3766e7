/** The wake runners of this package: `import { command } from 'agentcom/runners'`. */
export { command } from './command/command.ts';
