// The server of node.mjs on the JDK's own HTTP server. Started as a source file: java Server.java PORT LOG
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.Executors;

public class Server {
  public static void main(String[] args) throws Exception {
    FileOutputStream log = new FileOutputStream(args[1], true);
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 1024);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", exchange -> serve(exchange, log));
    server.start();
    System.out.println("ready");
  }

  private static void serve(HttpExchange exchange, FileOutputStream log) throws IOException {
    byte[] body = exchange.getRequestBody().readAllBytes();
    String id = exchange.getRequestHeaders().getFirst("X-Id");
    String line = String.format("{\"method\":%s,\"target\":%s,\"id\":%s,\"length\":%d,\"digest\":\"%s\",\"port\":%d}%n",
        quoted(exchange.getRequestMethod()), quoted(exchange.getRequestURI().toString()), quoted(id == null ? "" : id),
        body.length, digest(body), exchange.getRemoteAddress().getPort());
    log.write(line.getBytes(StandardCharsets.ISO_8859_1));
    byte[] served = "served".getBytes(StandardCharsets.ISO_8859_1);
    boolean isHead = exchange.getRequestMethod().equals("HEAD");
    exchange.sendResponseHeaders(200, isHead ? -1 : served.length);
    if (!isHead) exchange.getResponseBody().write(served);
    exchange.close();
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char c : text.toCharArray()) quoted.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    return quoted.append('"').toString();
  }

  private static String digest(byte[] bytes) throws IOException {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (java.security.NoSuchAlgorithmException impossible) {
      throw new IOException(impossible);
    }
  }
}
