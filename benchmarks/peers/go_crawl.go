// The benchmark's work in Go, with net/http and goquery, which Colly is built on too. It is as fast
// as possible, since it saves no state: a goroutine for each connection, a map of the URLs.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/PuerkitoBio/goquery"
)

type item struct {
	URL   string   `json:"url"`
	Title string   `json:"title"`
	H1    []string `json:"h1"`
	H2    []string `json:"h2"`
	Links int      `json:"links"`
}

// crawl is the state of one crawl; wait counts the pages that are queued or being fetched.
type crawl struct {
	client *http.Client
	host   string
	mutex  sync.Mutex
	seen   map[string]bool
	queue  chan string
	wait   sync.WaitGroup
	lines  *json.Encoder
}

func squeezed(text string) string {
	return strings.Join(strings.Fields(text), " ")
}

func texts(page *goquery.Document, selector string) []string {
	found := []string{}
	page.Find(selector).Each(func(_ int, one *goquery.Selection) {
		found = append(found, squeezed(one.Text()))
	})
	return found
}

// add queues a URL unless it is in the map.
func (c *crawl) add(target string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.seen[target] {
		c.seen[target] = true
		c.wait.Add(1)
		c.queue <- target
	}
}

func (c *crawl) handle(target string) {
	defer c.wait.Done()
	response, err := c.client.Get(target)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	page, err := goquery.NewDocumentFromReader(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	isHTML := strings.Contains(response.Header.Get("Content-Type"), "html")
	if response.StatusCode != 200 || !isHTML {
		return
	}
	base := response.Request.URL
	links := 0
	page.Find("a[href]").Each(func(_ int, anchor *goquery.Selection) {
		links++
		href, _ := anchor.Attr("href")
		c.follow(base, href)
	})
	title := squeezed(page.Find("title").First().Text())
	found := item{base.String(), title, texts(page, "h1"), texts(page, "h2"), links}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err := c.lines.Encode(found); err != nil {
		log.Fatal(err)
	}
}

func (c *crawl) follow(base *url.URL, href string) {
	target, err := base.Parse(strings.TrimSpace(href))
	if err == nil && target.Host == c.host && target.Scheme == "http" {
		target.Fragment = ""
		c.add(target.String())
	}
}

// main takes the output, the connections to use, and the seed.
func main() {
	seed, err := url.Parse(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	concurrency, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	output := bufio.NewWriter(file)
	transport := &http.Transport{MaxIdleConnsPerHost: concurrency}
	c := &crawl{
		client: &http.Client{Transport: transport},
		host:   seed.Host,
		seen:   map[string]bool{},
		queue:  make(chan string, 1000000),
		lines:  json.NewEncoder(output),
	}
	c.lines.SetEscapeHTML(false)
	c.add(seed.String())
	for i := 0; i < concurrency; i++ {
		go func() {
			for target := range c.queue {
				c.handle(target)
			}
		}()
	}
	c.wait.Wait()
	if err := output.Flush(); err != nil {
		log.Fatal(err)
	}
}
