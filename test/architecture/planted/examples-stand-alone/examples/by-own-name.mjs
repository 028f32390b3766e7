import { defineConfig } from 'agentcom';

console.log(defineConfig({}));
