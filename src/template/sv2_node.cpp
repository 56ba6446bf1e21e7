#include "template/sv2_node.h"

#include <utility>

namespace adit::templates {

Sv2Node::Sv2Node(std::shared_ptr<Sv2Link> link, bool gives_templates)
    : link_(std::move(link)), gives_templates_(gives_templates) {}
Sv2Node::~Sv2Node() { Sv2Node::stop(); }
const std::string& Sv2Node::name() const { return link_->name(); }
bool Sv2Node::gives_templates() const { return gives_templates_; }
void Sv2Node::submit(ledger::BlockPtr block, Done done) { link_->await_effect(block->hash(), std::move(done)); }
void Sv2Node::prefer(const ledger::Hash256&) {}
void Sv2Node::start() { link_->start(); }
void Sv2Node::stop() { link_->stop(); }

}  // namespace adit::templates
