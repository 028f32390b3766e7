import { command } from './plugins/command/command.ts';

export default { sidecar: { wake: command({ argv: ['true'] }) } };
