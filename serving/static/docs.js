"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function prose(text) {
  const parts = (text ?? "").split("`");
  return element("span", {}, ...parts.map((part, position) => (position % 2 ? element("code", {}, part) : part)));
}

function resolved(schema, api) {
  const path = schema?.$ref?.replace("#/", "").split("/");
  return path ? path.reduce((at, key) => at[key], api) : schema;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return several.map(typeOf).join(" | ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  return schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "any";
}

function table(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("div", { class: "scroll" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function fields(schema, api) {
  const shown = resolved(schema, api);
  const required = new Set(shown?.required ?? []);
  const rows = Object.entries(shown?.properties ?? {}).map(([name, property]) => [
    element("code", {}, name), element("code", {}, typeOf(property)), required.has(name) ? "yes" : "", prose(property.description),
  ]);
  return rows.length ? table(["field", "type", "required", "meaning"], rows) : "";
}

function content(title, body, api) {
  const parts = [];
  for (const [mediaType, described] of Object.entries(body?.content ?? {})) {
    parts.push(element("h3", {}, `${title}, ${mediaType}`), fields(described.schema, api));
    if (described.example) parts.push(element("pre", { tabindex: "0" }, JSON.stringify(described.example, null, 2)));
  }
  return parts;
}

function answers(described, api) {
  const good = Object.entries(described.responses).filter(([status]) => status.startsWith("2"));
  return good.flatMap(([status, body]) => content(`Answer ${status}`, body, api));
}

function refusals(described) {
  const list = element("p", {});
  for (const [status, body] of Object.entries(described.responses)) {
    for (const name of Object.keys(body.content?.["application/problem+json"]?.examples ?? {})) {
      list.append(element("a", { href: `#${name}` }, `${status} ${name}`), " ");
    }
  }
  return element("div", {}, element("h3", {}, "Problems"), list);
}

function operation(method, path, described, api) {
  const section = element("section", { id: described.operationId });
  section.append(element("h2", {}, element("span", { class: "method" }, method.toUpperCase()), " ", element("code", {}, path)));
  section.append(element("p", {}, prose(described.description ?? described.summary)));
  const parameters = (described.parameters ?? []).map((parameter) => [
    element("code", {}, parameter.name), parameter.in, element("code", {}, typeOf(parameter.schema)), prose(parameter.description),
  ]);
  if (parameters.length) section.append(element("h3", {}, "Parameters"), table(["name", "in", "type", "meaning"], parameters));
  section.append(...content("Body", described.requestBody, api), ...answers(described, api), refusals(described));
  return section;
}

function types(api) {
  const rows = Object.entries(api.components.schemas).map(([name, schema]) => [name, schema]);
  return rows.map(([name, schema]) => {
    const section = element("section", { id: `schema-${name}` }, element("h2", {}, element("code", {}, name)));
    section.append(element("p", {}, prose(schema.description)), fields(schema, api));
    return section;
  });
}

function problems(api) {
  const rows = api["x-problem-types"].map((kind) => [element("code", { id: kind.name }, kind.name), String(kind.status), kind.title]);
  return element("section", { id: "problems" }, element("h2", {}, "Problems"), table(["type", "status", "meaning"], rows));
}

function lay(api) {
  const main = document.getElementById("operations");
  const list = element("ul");
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => name in item)) {
      main.append(operation(method, path, item[method], api));
      list.append(element("li", {}, element("a", { href: `#${item[method].operationId}` }, `${method.toUpperCase()} ${path}`)));
    }
  }
  main.append(problems(api), ...types(api));
  document.getElementById("contents").append(list);
  document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then(lay)
  .catch((error) => { document.getElementById("about").textContent = `openapi.json could not be read: ${error}`; });
