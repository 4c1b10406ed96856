declare module "*/scripts/api.js" {
  export const api: { fetchApi(route: string): Promise<Response> };
}
declare module "*/scripts/app.js" {
  export const app: {
    canvas: any;
    registerExtension(extension: { name: string; nodeCreated?(node: any): void; setup?(): void }): void;
  };
}
