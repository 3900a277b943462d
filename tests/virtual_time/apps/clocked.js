// The same as clocked.py, on Node.
const http = require("node:http");

const delivered = {};

http
  .createServer((request, response) => {
    request.resume().on("end", () => {
      const [, kind, name] = request.url.split("/");
      if (kind === "job") delivered[name] = new Date().toISOString();
      response.statusCode = kind === "dapr" ? 404 : 200;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ now: new Date().toISOString(), delivered }));
    });
  })
  .listen(process.argv[2], "127.0.0.1");
